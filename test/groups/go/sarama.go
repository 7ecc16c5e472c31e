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
	sayAssigned(append([]int32{}, session.Claims()[h.topic]...))
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
