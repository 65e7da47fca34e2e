// What makes NetworkPolicies hold: kube-router's firewall. The rest of that program, a router and a
// proxy, is most of its build and speaks to an older Kubernetes client.
package main

import (
	"flag"
	"reflect"
	"sync"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	core "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// A change of a pod brings others. Each look at all of them calls iptables some thirty times.
const together = 300 * time.Millisecond

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	node := flag.String("node", "", "the node whose pods are guarded")
	services := flag.String("services", "", "the range of the Services' addresses")
	flag.Parse()

	access, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	must(err)
	client, err := kubernetes.NewForConfig(access)
	must(err)

	config := options.NewKubeRouterConfig()
	config.EnableIPv4 = true
	config.HostnameOverride = *node
	config.ClusterIPCIDRs = []string{*services}

	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()

	tables, sets, err := netpol.NewIPTablesHandlers(config)
	must(err)
	controller, err := netpol.NewNetworkPolicyController(
		client, config, pods, policies, namespaces, &sync.Mutex{}, tables, sets)
	must(err)

	changed := make(chan struct{}, 1)
	notice := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{pods, namespaces, policies} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { notice() },
			DeleteFunc: func(any) { notice() },
			UpdateFunc: func(before, after any) {
				if matters(before, after) {
					notice()
				}
			},
		})
		must(err)
	}

	never := make(chan struct{})
	factory.Start(never)
	factory.WaitForCacheSync(never)

	heartbeats := make(chan *healthcheck.ControllerHeartbeat)
	go func() {
		for range heartbeats {
		}
	}()
	running := &sync.WaitGroup{}
	running.Add(1)
	go controller.Run(heartbeats, never, running)
	for range changed {
		time.Sleep(together)
		controller.RequestFullSync()
	}
}

// What the kubelet says of a pod again and again says nothing to a firewall.
func matters(before, after any) bool {
	old, isPod := before.(*core.Pod)
	if !isPod {
		return true
	}
	now := after.(*core.Pod)
	return old.Status.PodIP != now.Status.PodIP ||
		old.Status.Phase != now.Status.Phase ||
		(old.DeletionTimestamp == nil) != (now.DeletionTimestamp == nil) ||
		!reflect.DeepEqual(old.Labels, now.Labels)
}

func must(err error) {
	if err != nil {
		klog.Fatal(err)
	}
}
