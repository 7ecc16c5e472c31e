import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeSet;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.internals.AppInfoParser;

/** A group member on Apache Kafka's own consumer; what it prints is in run. */
public final class GroupMember {
    private static volatile boolean stopped;

    /** What was read and is not committed yet: a commit that fails is tried again. */
    private static final Map<TopicPartition, OffsetAndMetadata> ends = new HashMap<>();

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static void waitForStop() {
        try {
            while (System.in.read() > '\n') {
                continue;
            }
        } catch (java.io.IOException ended) {
            // The end of stdin asks for the same.
        }
        stopped = true;
    }

    private static String listed(Collection<Integer> partitions) {
        String list = partitions.stream().sorted().map(String::valueOf).collect(Collectors.joining(","));
        return list.isEmpty() ? "-" : list;
    }

    /** --make: the topic by the admin client, and records with every codec. */
    private static void make(Map<String, String> options) throws Exception {
        String topic = options.get("--topic");
        int partitions = Integer.parseInt(options.get("--partitions"));
        int count = Integer.parseInt(options.get("--make")) * partitions;
        Properties settings = new Properties();
        settings.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, options.get("--brokers"));
        try (Admin admin = Admin.create(settings)) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
        }
        say("created");
        settings.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class);
        settings.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class);
        byte[] value = "compressible ".repeat(10).getBytes();
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            settings.put(ProducerConfig.COMPRESSION_TYPE_CONFIG, codec);
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
                for (int i = 0; i < count; i++) {
                    sent.add(producer.send(new ProducerRecord<>(topic, i % partitions, null, value)));
                }
            }
            for (Future<RecordMetadata> record : sent) {
                record.get();
            }
            say("produced " + codec);
        }
    }

    private static final class Listener implements ConsumerRebalanceListener {
        private final TreeSet<Integer> owned = new TreeSet<>();
        private final KafkaConsumer<byte[], byte[]> consumer;

        Listener(KafkaConsumer<byte[], byte[]> consumer) {
            this.consumer = consumer;
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            partitions.forEach(partition -> owned.add(partition.partition()));
            say("assigned " + listed(owned) + " " + consumer.groupMetadata().generationId());
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            List<Integer> gone = partitions.stream().map(TopicPartition::partition).toList();
            owned.removeAll(gone);
            ends.keySet().removeAll(partitions);
            say("revoked " + listed(gone));
        }
    }

    private static Properties settings(Map<String, String> options) {
        Properties settings = new Properties();
        settings.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, options.get("--brokers"));
        settings.put(ConsumerConfig.GROUP_ID_CONFIG, options.get("--group"));
        settings.put(ConsumerConfig.GROUP_PROTOCOL_CONFIG, "classic");
        settings.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        settings.put(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG, options.get("--session-ms"));
        settings.put(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG, "300");
        settings.put(ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG, "100");
        settings.put(ConsumerConfig.RECONNECT_BACKOFF_MAX_MS_CONFIG, "500");
        settings.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class);
        settings.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class);
        if (options.getOrDefault("--assignor", "").equals("cooperative-sticky")) {
            settings.put(
                    ConsumerConfig.PARTITION_ASSIGNMENT_STRATEGY_CONFIG,
                    "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
        }
        if (options.containsKey("--instance")) {
            settings.put(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG, options.get("--instance"));
        }
        return settings;
    }

    private static void readAndCommit(KafkaConsumer<byte[], byte[]> consumer) {
        ConsumerRecords<byte[], byte[]> polled = consumer.poll(Duration.ofMillis(100));
        for (ConsumerRecord<byte[], byte[]> record : polled) {
            say("got " + record.partition() + " " + record.offset());
            ends.put(
                    new TopicPartition(record.topic(), record.partition()),
                    new OffsetAndMetadata(record.offset() + 1));
        }
        if (!ends.isEmpty()) {
            consumer.commitSync(ends);
            ends.forEach((partition, end) ->
                    say("committed " + partition.partition() + " " + end.offset()));
            ends.clear();
        }
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length == 1 && arguments[0].equals("--version")) {
            System.out.println(
                    AppInfoParser.getVersion() + " on Java " + System.getProperty("java.version"));
            return;
        }
        Map<String, String> options = new HashMap<>();
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i], arguments[i + 1]);
        }
        if (options.containsKey("--make")) {
            make(options);
            return;
        }
        Thread waiting = new Thread(GroupMember::waitForStop);
        waiting.setDaemon(true);
        waiting.start();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings(options))) {
            consumer.subscribe(List.of(options.get("--topic")), new Listener(consumer));
            while (!stopped) {
                try {
                    readAndCommit(consumer);
                } catch (KafkaException failure) {
                    System.err.println("poll or commit: " + failure);
                }
            }
        }
        say("left");
    }
}
