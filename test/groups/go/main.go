// Group members on franz-go, Sarama and kafka-go, chosen with --client; what they print is in run.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

type options struct {
	client, brokers, topic, group, assignor, instance string
	sessionMs, make, partitions                       int
	version                                           bool
}

func (o options) session() time.Duration { return time.Duration(o.sessionMs) * time.Millisecond }

const heartbeat = 300 * time.Millisecond

var clients = map[string]struct {
	module string
	member func(context.Context, options)
	make   func(context.Context, options) error
}{
	"franz-go": {"github.com/twmb/franz-go", franzMember, franzMake},
	"sarama":   {"github.com/IBM/sarama", saramaMember, saramaMake},
	"kafka-go": {"github.com/segmentio/kafka-go", kafkaGoMember, kafkaGoMake},
}

// What --make writes with each codec: as many of these to each partition.
var value = []byte(strings.Repeat("compressible ", 10))

func main() {
	var o options
	flag.StringVar(&o.client, "client", "franz-go", "")
	flag.StringVar(&o.brokers, "brokers", "", "")
	flag.StringVar(&o.topic, "topic", "", "")
	flag.StringVar(&o.group, "group", "", "")
	flag.StringVar(&o.assignor, "assignor", "", "")
	flag.StringVar(&o.instance, "instance", "", "")
	flag.IntVar(&o.sessionMs, "session-ms", 2000, "")
	flag.IntVar(&o.make, "make", 0, "")
	flag.IntVar(&o.partitions, "partitions", 1, "")
	flag.BoolVar(&o.version, "version", false, "")
	flag.Parse()
	chosen, found := clients[o.client]
	if !found {
		fatal("unknown client %s", o.client)
	}
	if o.version {
		printVersion(chosen.module)
		return
	}
	if o.make > 0 {
		if err := chosen.make(context.Background(), o); err != nil {
			fatal("make: %v", err)
		}
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n') // a line, or the end: both ask to leave
		stop()
	}()
	chosen.member(ctx, o)
	say("left")
}

func printVersion(path string) {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == path {
			fmt.Println(module.Version)
		}
	}
}

func fatal(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}

var output sync.Mutex

func say(format string, arguments ...any) {
	output.Lock()
	defer output.Unlock()
	fmt.Printf(format+"\n", arguments...)
}

func sayAssigned(partitions []int32, generation int32) {
	say("assigned %s %d", listed(partitions), generation)
}

func sayRevoked(partitions []int32) { say("revoked %s", listed(partitions)) }

func listed(partitions []int32) string {
	slices.Sort(partitions)
	text := strings.Trim(strings.ReplaceAll(fmt.Sprint(partitions), " ", ","), "[]")
	if text == "" {
		text = "-"
	}
	return text
}
