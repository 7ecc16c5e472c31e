package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

// kafkaGoMember uses the library's ConsumerGroup, which shows its generations; its Reader hides
// which partitions it has.
func kafkaGoMember(ctx context.Context, o options) {
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID:                o.group,
		Brokers:           strings.Split(o.brokers, ","),
		Topics:            []string{o.topic},
		SessionTimeout:    o.session(),
		HeartbeatInterval: heartbeat,
		StartOffset:       kafka.FirstOffset,
		JoinGroupBackoff:  200 * time.Millisecond,
	})
	if err != nil {
		fatal("group: %v", err)
	}
	for ctx.Err() == nil {
		generation, err := group.Next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				fmt.Fprintf(os.Stderr, "next: %v\n", err)
				time.Sleep(100 * time.Millisecond)
			}
			continue
		}
		var partitions []int32
		for _, assignment := range generation.Assignments[o.topic] {
			partitions = append(partitions, int32(assignment.ID))
			generation.Start(func(ended context.Context) {
				kafkaGoPartition(ended, o, generation, assignment.ID, assignment.Offset)
			})
		}
		sayAssigned(partitions, generation.ID)
	}
	group.Close()
}

func kafkaGoPartition(
	ctx context.Context, o options, generation *kafka.Generation, partition int, offset int64,
) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers:   strings.Split(o.brokers, ","),
		Topic:     o.topic,
		Partition: partition,
		MaxWait:   100 * time.Millisecond,
	})
	defer reader.Close()
	reader.SetOffset(offset)
	for {
		message, err := reader.ReadMessage(ctx)
		if errors.Is(err, context.Canceled) || errors.Is(err, kafka.ErrGenerationEnded) {
			return
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "read: %v\n", err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		say("got %d %d", partition, message.Offset)
		if message.Offset+1 < message.HighWaterMark {
			continue
		}
		next := message.Offset + 1
		err = generation.CommitOffsets(map[string]map[int]int64{o.topic: {partition: next}})
		if err != nil {
			fmt.Fprintf(os.Stderr, "commit: %v\n", err)
			continue
		}
		say("committed %d %d", partition, next)
	}
}

func kafkaGoMake(ctx context.Context, o options) error {
	address := kafka.TCP(strings.Split(o.brokers, ",")...)
	admin := kafka.Client{Addr: address}
	created, err := admin.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
		{Topic: o.topic, NumPartitions: o.partitions, ReplicationFactor: 1},
	}})
	if err == nil {
		err = created.Errors[o.topic]
	}
	if err != nil {
		return err
	}
	say("created")
	for _, codec := range []struct {
		name  string
		codec kafka.Compression
	}{
		{"none", 0}, {"gzip", kafka.Gzip}, {"snappy", kafka.Snappy}, {"lz4", kafka.Lz4},
		{"zstd", kafka.Zstd},
	} {
		writer := kafka.Writer{
			Addr: address, Topic: o.topic, Compression: codec.codec, RequiredAcks: kafka.RequireAll,
			BatchTimeout: 10 * time.Millisecond, Balancer: &kafka.RoundRobin{},
		}
		var messages []kafka.Message
		for range o.make * o.partitions {
			messages = append(messages, kafka.Message{Value: value})
		}
		err := writer.WriteMessages(ctx, messages...)
		writer.Close()
		if err != nil {
			return err
		}
		say("produced %s", codec.name)
	}
	return nil
}
