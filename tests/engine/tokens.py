"""Resource types that the scenarios name."""

API = "gcp:projects/service:Service"
BUCKET = "gcp:storage/bucket:Bucket"
CLUSTER = "gcp:container/cluster:Cluster"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
INSTANCE = "gcp:sql/databaseInstance:DatabaseInstance"
JOB = "kubernetes:batch/v1:Job"
NETWORK = "gcp:compute/network:Network"
PASSWORD = "random:index/randomPassword:RandomPassword"  # noqa: S105
PEERING = "gcp:servicenetworking/connection:Connection"
POOL = "gcp:container/nodePool:NodePool"
SUBNETWORK = "gcp:compute/subnetwork:Subnetwork"
