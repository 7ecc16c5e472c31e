package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func franzMember(ctx context.Context, o options) {
	var lock sync.Mutex
	owned := map[int32]bool{}
	lost := func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
		lock.Lock()
		defer lock.Unlock()
		for _, p := range parts[o.topic] {
			delete(owned, p)
		}
	}
	assigned := func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
		lock.Lock()
		defer lock.Unlock()
		for _, p := range parts[o.topic] {
			owned[p] = true
		}
		var all []int32
		for p := range owned {
			all = append(all, p)
		}
		sayAssigned(all)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(o.brokers), kgo.ConsumerGroup(o.group),
		kgo.ConsumeTopics(o.topic), kgo.DisableAutoCommit(), kgo.SessionTimeout(o.session()),
		kgo.HeartbeatInterval(heartbeat), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.OnPartitionsAssigned(assigned),
		kgo.OnPartitionsRevoked(lost), kgo.OnPartitionsLost(lost),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }))
	if err != nil {
		fatal("client: %v", err)
	}
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		ends := map[int32]int64{}
		var records []*kgo.Record
		fetches.EachRecord(func(record *kgo.Record) {
			say("got %d %d", record.Partition, record.Offset)
			ends[record.Partition] = record.Offset + 1
			records = append(records, record)
		})
		if len(records) == 0 {
			continue
		}
		if err := client.CommitRecords(context.Background(), records...); err != nil {
			fmt.Fprintf(os.Stderr, "commit: %v\n", err)
			continue
		}
		for p, end := range ends {
			say("committed %d %d", p, end)
		}
	}
	client.Close()
}
