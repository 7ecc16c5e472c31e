package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
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
		sayRevoked(slices.Clone(parts[o.topic]))
	}
	assigned := func(_ context.Context, client *kgo.Client, parts map[string][]int32) {
		lock.Lock()
		defer lock.Unlock()
		for _, p := range parts[o.topic] {
			owned[p] = true
		}
		var all []int32
		for p := range owned {
			all = append(all, p)
		}
		_, generation := client.GroupMetadata()
		sayAssigned(all, generation)
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
	var records []*kgo.Record // read and not committed yet: a commit that fails is tried again
	for ctx.Err() == nil {
		polling, stop := context.WithTimeout(ctx, 200*time.Millisecond)
		fetches := client.PollFetches(polling)
		stop()
		fetches.EachRecord(func(record *kgo.Record) {
			say("got %d %d", record.Partition, record.Offset)
			records = append(records, record)
		})
		lock.Lock()
		records = slices.DeleteFunc(records, func(r *kgo.Record) bool { return !owned[r.Partition] })
		lock.Unlock()
		if len(records) == 0 {
			continue
		}
		if err := client.CommitRecords(context.Background(), records...); err != nil {
			fmt.Fprintf(os.Stderr, "commit: %v\n", err)
			continue
		}
		ends := map[int32]int64{}
		for _, record := range records {
			ends[record.Partition] = record.Offset + 1
		}
		records = nil
		for p, end := range ends {
			say("committed %d %d", p, end)
		}
	}
	client.Close()
}

func franzMake(ctx context.Context, o options) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(o.brokers))
	if err != nil {
		return err
	}
	defer client.Close()
	created, err := kadm.NewClient(client).CreateTopics(ctx, int32(o.partitions), 1, nil, o.topic)
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		return err
	}
	say("created")
	for _, codec := range []struct {
		name  string
		codec kgo.CompressionCodec
	}{
		{"none", kgo.NoCompression()}, {"gzip", kgo.GzipCompression()},
		{"snappy", kgo.SnappyCompression()}, {"lz4", kgo.Lz4Compression()},
		{"zstd", kgo.ZstdCompression()},
	} {
		producer, err := kgo.NewClient(kgo.SeedBrokers(o.brokers),
			kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.ProducerBatchCompression(codec.codec))
		if err != nil {
			return err
		}
		var records []*kgo.Record
		for i := range o.make * o.partitions {
			records = append(records,
				&kgo.Record{Topic: o.topic, Partition: int32(i % o.partitions), Value: value})
		}
		err = producer.ProduceSync(ctx, records...).FirstErr()
		producer.Close()
		if err != nil {
			return err
		}
		say("produced %s", codec.name)
	}
	return nil
}
