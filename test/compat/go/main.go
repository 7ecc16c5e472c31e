// The franz-go client of test/compat: writes the records of records.py (shape full) and reads
// partitions by assignment into a dump.
//
//	produce --brokers B --topic T --partitions P --count N --codec C --idempotent yes|no --acks A
//	        --seed S --base-ms M [--pause]
//	consume --brokers B --topic T --partitions P --out FILE
//	version
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	paceSteps    = 100
	paceStepTime = 25 * time.Millisecond
)

type options struct {
	brokers, topic, codec, idempotent, acks, out string
	partitions, count, seed, baseMs              int64
	pause                                        bool
}

func main() {
	if len(os.Args) < 2 {
		fatal("which command?")
	}
	var o options
	set := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	set.StringVar(&o.brokers, "brokers", "127.0.0.1:9092", "")
	set.StringVar(&o.topic, "topic", "compat", "")
	set.StringVar(&o.codec, "codec", "none", "")
	set.StringVar(&o.idempotent, "idempotent", "yes", "")
	set.StringVar(&o.acks, "acks", "-1", "")
	set.StringVar(&o.out, "out", "", "")
	set.Int64Var(&o.partitions, "partitions", 1, "")
	set.Int64Var(&o.count, "count", 0, "")
	set.Int64Var(&o.seed, "seed", 1, "")
	set.Int64Var(&o.baseMs, "base-ms", 0, "")
	set.BoolVar(&o.pause, "pause", false, "")
	set.Parse(os.Args[2:])
	switch os.Args[1] {
	case "produce":
		produce(o)
	case "consume":
		consume(o)
	case "version":
		version()
	default:
		fatal("unknown command %s", os.Args[1])
	}
}

func fatal(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}

func version() {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/twmb/franz-go" {
			fmt.Println(module.Version)
		}
	}
}

// ---------------------------------------------------------------------------------------------------
// Producing

func filler(i int64) []byte {
	out := make([]byte, i*7919%200)
	state := uint32(i*2654435761 + 1)
	for j := range out {
		state = state*1664525 + 1013904223
		if i%2 == 0 {
			out[j] = byte('a' + (i+int64(j))%26)
		} else {
			out[j] = byte(0x80 | state>>24&0x7f)
		}
	}
	return out
}

func makeRecord(o options, i int64) *kgo.Record {
	record := &kgo.Record{
		Topic:     o.topic,
		Partition: int32(i % o.partitions),
		Timestamp: time.UnixMilli(o.baseMs + i),
	}
	switch {
	case i%7 == 3:
	case i%17 == 9:
		record.Key = []byte{}
	default:
		record.Key = fmt.Appendf(nil, "key-%d-%d", o.seed, i)
	}
	switch {
	case i%11 == 5:
	case i%13 == 6:
		record.Value = []byte{}
	default:
		record.Value = append(fmt.Appendf(nil, "value-%d-%d-", o.seed, i), filler(i)...)
	}
	if i%5 == 0 {
		return record
	}
	add := func(key string, value []byte) {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: key, Value: value})
	}
	add("h", strconv.AppendInt(nil, i, 10))
	add("seed", strconv.AppendInt(nil, o.seed, 10))
	if i%3 == 0 {
		add("empty", []byte{})
	}
	if i%4 == 1 {
		add("null", nil)
	}
	if i%10 == 7 {
		add("h", []byte("again"))
	}
	return record
}

func produce(o options) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	settings := []kgo.Opt{
		kgo.SeedBrokers(o.brokers),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[o.codec]),
		kgo.ProducerLinger(5 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
	}
	if o.idempotent != "yes" {
		acks := map[string]kgo.Acks{"0": kgo.NoAck(), "1": kgo.LeaderAck(), "-1": kgo.AllISRAcks()}
		settings = append(settings, kgo.DisableIdempotentWrite(), kgo.RequiredAcks(acks[o.acks]))
	}
	client, err := kgo.NewClient(settings...)
	if err != nil {
		fatal("client: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	var acked atomic.Int64
	send := func(i int64) {
		client.Produce(ctx, makeRecord(o, i), func(_ *kgo.Record, err error) {
			if err != nil {
				fatal("record %d: %v", i, err)
			}
			acked.Add(1)
		})
	}
	first := o.count
	if o.pause {
		first = o.count * 2 / 5
	}
	for i := range first {
		send(i)
	}
	if err := client.Flush(ctx); err != nil {
		fatal("flush: %v", err)
	}
	if o.pause {
		fmt.Println("half")
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			fatal("stdin: %v", err)
		}
		step := (o.count - first + paceSteps - 1) / paceSteps
		for i := first; i < o.count; i++ {
			send(i)
			if (i-first)%step == 0 {
				time.Sleep(paceStepTime)
			}
		}
		if err := client.Flush(ctx); err != nil {
			fatal("flush: %v", err)
		}
	}
	client.Close()
	fmt.Printf("done %d\n", acked.Load())
}

// ---------------------------------------------------------------------------------------------------
// Consuming

func dumpText(w *bufio.Writer, data []byte) {
	if data == nil {
		binary.Write(w, binary.BigEndian, int32(-1))
		return
	}
	binary.Write(w, binary.BigEndian, int32(len(data)))
	w.Write(data)
}

func dumpRecord(w *bufio.Writer, record *kgo.Record) {
	binary.Write(w, binary.BigEndian, record.Partition)
	binary.Write(w, binary.BigEndian, record.Offset)
	binary.Write(w, binary.BigEndian, record.Timestamp.UnixMilli())
	dumpText(w, record.Key)
	dumpText(w, record.Value)
	binary.Write(w, binary.BigEndian, int32(len(record.Headers)))
	for _, header := range record.Headers {
		dumpText(w, []byte(header.Key))
		dumpText(w, header.Value)
	}
}

func consume(o options) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	starts := map[int32]kgo.Offset{}
	for p := range int32(o.partitions) {
		starts[p] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(o.brokers),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.topic: starts}))
	if err != nil {
		fatal("client: %v", err)
	}
	listed, err := kadm.NewClient(client).ListEndOffsets(ctx, o.topic)
	if err != nil || listed.Error() != nil {
		fatal("end offsets: %v %v", err, listed.Error())
	}
	ends := map[int32]int64{}
	for p := range int32(o.partitions) {
		end, found := listed.Lookup(o.topic, p)
		if !found {
			fatal("no end offset of partition %d", p)
		}
		if end.Offset > 0 {
			ends[p] = end.Offset
		}
	}
	file, err := os.Create(o.out)
	if err != nil {
		fatal("%v", err)
	}
	w := bufio.NewWriter(file)
	for len(ends) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			fatal("time ran out with %d partitions unfinished", len(ends))
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			fatal("%s[%d]: %v", topic, partition, err)
		})
		fetches.EachRecord(func(record *kgo.Record) {
			end, unfinished := ends[record.Partition]
			if !unfinished {
				return
			}
			dumpRecord(w, record)
			if record.Offset+1 >= end {
				delete(ends, record.Partition)
			}
		})
	}
	if w.Flush() != nil || file.Close() != nil {
		fatal("cannot write %s", o.out)
	}
	client.Close()
}
