package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// saramaHandler gets one session per generation of the group, one claim per partition in it.
type saramaHandler struct{ topic string }

func (h saramaHandler) Setup(session sarama.ConsumerGroupSession) error {
	sayAssigned(append([]int32{}, session.Claims()[h.topic]...), session.GenerationID())
	return nil
}

func (saramaHandler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (saramaHandler) ConsumeClaim(
	session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim,
) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			say("got %d %d", message.Partition, message.Offset)
			session.MarkMessage(message, "")
			if message.Offset+1 == claim.HighWaterMarkOffset() {
				// Commit tells no error and no acknowledgement: run looks at what comes again.
				session.Commit()
			}
		case <-session.Context().Done():
			return nil
		}
	}
}

func saramaMember(ctx context.Context, o options) {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Consumer.Group.Session.Timeout = o.session()
	config.Consumer.Group.Heartbeat.Interval = heartbeat
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	config.Consumer.Retry.Backoff = 200 * time.Millisecond
	config.Consumer.Group.Rebalance.Retry.Backoff = 200 * time.Millisecond
	config.Metadata.Retry.Backoff = 200 * time.Millisecond
	group, err := sarama.NewConsumerGroup(strings.Split(o.brokers, ","), o.group, config)
	if err != nil {
		fatal("group: %v", err)
	}
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{o.topic}, saramaHandler{o.topic}); err != nil {
			fmt.Fprintf(os.Stderr, "consume: %v\n", err)
			time.Sleep(200 * time.Millisecond)
		}
	}
	group.Close()
}

func saramaMake(_ context.Context, o options) error {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	admin, err := sarama.NewClusterAdmin(strings.Split(o.brokers, ","), config)
	if err != nil {
		return err
	}
	defer admin.Close()
	detail := sarama.TopicDetail{NumPartitions: int32(o.partitions), ReplicationFactor: 1}
	if err := admin.CreateTopic(o.topic, &detail, false); err != nil {
		return err
	}
	say("created")
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	for _, codec := range []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy,
		sarama.CompressionLZ4, sarama.CompressionZSTD,
	} {
		config.Producer.Compression = codec
		producer, err := sarama.NewSyncProducer(strings.Split(o.brokers, ","), config)
		if err != nil {
			return err
		}
		var messages []*sarama.ProducerMessage
		for i := range o.make * o.partitions {
			messages = append(messages, &sarama.ProducerMessage{
				Topic: o.topic, Partition: int32(i % o.partitions), Value: sarama.ByteEncoder(value),
			})
		}
		err = producer.SendMessages(messages)
		producer.Close()
		if err != nil {
			return err
		}
		say("produced %s", codec)
	}
	return nil
}
