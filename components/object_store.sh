# What the container of components/object_store.py runs: `object_store.sh serve`, and once that is
# under way `object_store.sh bucket`. It asks for `weed` on PATH and nothing of an image's entry point.
set -eu

# Beside the port that others call; each part takes the one 10000 above its own as well.
master=$((PORT + 1))
filer=$((PORT + 2))
volume=$((PORT + 3))

serve() {
	# Only S3 listens to others; the rest has no passwords.
	exec weed -logtostderr=true -v=0 server \
		-dir="$DATA" -ip=127.0.0.1 -ip.bind=127.0.0.1 \
		-master.port=$master -filer.port=$filer -volume.port=$volume \
		-master.telemetry=false -master.volumeSizeLimitMB="$VOLUME_MB" -volume.max=0 \
		-volume.preStopSeconds=0 \
		-filer -s3 -s3.ip.bind=0.0.0.0 -s3.port="$PORT" -s3.config="$SECRETS/s3.json" \
		-s3.port.iceberg=0 -s3.port.lance=0 -s3.iam=false -s3.autoCreateBucket=false
}

# The shell waits for ever for a server that was not there when it began, and ignores SIGTERM.
weeds() {
	echo "$1" | timeout -s KILL 10 weed shell -master=127.0.0.1:$master -filer=127.0.0.1:$filer 2>&1
}

# Not through S3: nobody there has the right to make a bucket, or to delete one.
bucket() {
	tries=120
	until weeds s3.bucket.list | grep -q "^[[:space:]]*$BUCKET[[:space:]]"; do
		said=$(weeds "s3.bucket.create -name $BUCKET") || true
		tries=$((tries - 1))
		if [ $tries -eq 0 ]; then
			echo "The bucket $BUCKET could not be made: $said" >&2
			exit 1
		fi
		sleep 1
	done
}

"$1"
