// Kafka's side of the batch round trip (run-batches): the verbs, files and texts of batches.c, by
// Kafka's own classes.
//
//   emit FILE SEED COUNT   random batches into FILE, built as a producer builds them, and their text
//   read FILE              the text of every batch in FILE
//   judge FILE             the error each batch would earn from a Kafka broker: the checks of
//                          ProduceRequest, UnifiedLog and LogValidator in their order

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.BufferedWriter;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.Random;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.CorruptRecordException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.internals.BufferSupplier;
import org.apache.kafka.common.utils.internals.PrimitiveRef;
import org.apache.kafka.storage.internals.log.AppendOrigin;
import org.apache.kafka.storage.internals.log.LogValidator;
import org.apache.kafka.storage.internals.log.RecordValidationException;

public class BatchCheck {
    static final long NOW_MS = 1700000000000L;
    static final HexFormat HEX = HexFormat.of();
    static final PrintWriter OUT =
        new PrintWriter(new BufferedWriter(new OutputStreamWriter(System.out)));

    public static void main(String[] args) throws IOException {
        switch (args[0]) {
            case "emit" -> emit(args[1], Long.parseLong(args[2]), Integer.parseInt(args[3]));
            case "read" -> frames(args[1], BatchCheck::read);
            case "judge" -> frames(args[1], BatchCheck::judge);
            default -> throw new IllegalArgumentException(args[0]);
        }
        OUT.flush();
    }

    interface FrameUser {
        void use(ByteBuffer frame);
    }

    static void frames(String path, FrameUser user) throws IOException {
        try (var in = new DataInputStream(new BufferedInputStream(new FileInputStream(path)))) {
            while (true) {
                byte[] frame;
                try {
                    frame = new byte[in.readInt()];
                } catch (EOFException end) {
                    return;
                }
                in.readFully(frame);
                user.use(ByteBuffer.wrap(frame));
            }
        }
    }

    // ---- text ----

    static String hex(ByteBuffer bytes) {
        if (bytes == null) {
            return " -";
        }
        byte[] copy = new byte[bytes.remaining()];
        bytes.duplicate().get(copy);
        return " x" + HEX.formatHex(copy);
    }

    static void read(ByteBuffer frame) {
        for (MutableRecordBatch b : MemoryRecords.readableRecords(frame).batches()) {
            b.ensureValid();
            print(b);
        }
    }

    static void print(RecordBatch b) {
        OUT.printf(
            "B codec=%s type=%d base=%d count=%d delta=%d max=%d pid=%d epoch=%d seq=%d/%d "
                + "txn=%d control=%d\n",
            b.compressionType().name, b.timestampType().id, b.baseOffset(), b.countOrNull(),
            b.lastOffset() - b.baseOffset(), b.maxTimestamp(), b.producerId(), b.producerEpoch(),
            b.baseSequence(), b.lastSequence(), b.isTransactional() ? 1 : 0,
            b.isControlBatch() ? 1 : 0);
        for (Record r : b) {
            OUT.printf("R %d %d%s%s", r.offset(), r.timestamp(), hex(r.key()), hex(r.value()));
            for (Header h : r.headers()) {
                byte[] value = h.value();
                OUT.printf(" |%s%s", hex(ByteBuffer.wrap(h.key().getBytes())),
                    hex(value == null ? null : ByteBuffer.wrap(value)));
            }
            OUT.print('\n');
        }
    }

    // ---- building ----

    static byte[] bytes(Random random, boolean mayBeNull) {
        if (mayBeNull && random.nextInt(6) == 0) {
            return null;
        }
        byte[] bytes = new byte[random.nextInt(random.nextInt(20) == 0 ? 70000 : 60)];
        boolean noise = random.nextInt(3) == 0;
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) (noise ? random.nextInt(256) : 'a' + i / 5 % 20);
        }
        return bytes;
    }

    static Header[] headers(Random random) {
        Header[] headers = new Header[random.nextBoolean() ? 0 : random.nextInt(5)];
        for (int i = 0; i < headers.length; i++) {
            StringBuilder key = new StringBuilder();
            for (int n = random.nextInt(20); n > 0; n--) {
                key.append((char) ('a' + random.nextInt(26)));
            }
            headers[i] = new RecordHeader(key.toString(), bytes(random, true));
        }
        return headers;
    }

    static Compression compression(Random random, CompressionType type) {
        return switch (type) {
            case GZIP -> Compression.gzip().level(1 + random.nextInt(9)).build();
            case LZ4 -> Compression.lz4().level(1 + random.nextInt(17)).build();
            case ZSTD -> Compression.zstd().level(1 + random.nextInt(19)).build();
            default -> Compression.of(type).build();
        };
    }

    static void emit(String path, long seed, int count) throws IOException {
        Random random = new Random(seed);
        try (var out = new DataOutputStream(new BufferedOutputStream(new FileOutputStream(path)))) {
            for (int i = 0; i < count; i++) {
                CompressionType type = CompressionType.forId(random.nextInt(5));
                boolean idempotent = random.nextBoolean();
                long producerId = idempotent ? random.nextLong() >>> 1 : RecordBatch.NO_PRODUCER_ID;
                short epoch = idempotent ? (short) random.nextInt(Short.MAX_VALUE)
                    : RecordBatch.NO_PRODUCER_EPOCH;
                int sequence = idempotent ? Integer.MAX_VALUE - random.nextInt(60)
                    : RecordBatch.NO_SEQUENCE;
                MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1024),
                    RecordBatch.MAGIC_VALUE_V2, compression(random, type),
                    TimestampType.CREATE_TIME, 0, RecordBatch.NO_TIMESTAMP, producerId, epoch,
                    sequence, idempotent && random.nextBoolean(), false,
                    RecordBatch.NO_PARTITION_LEADER_EPOCH);
                for (int n = 1 + random.nextInt(40); n > 0; n--) {
                    builder.append(NOW_MS - random.nextInt(1000000), bytes(random, true),
                        bytes(random, true), headers(random));
                }
                MemoryRecords records = builder.build();
                byte[] frame = new byte[records.sizeInBytes()];
                records.buffer().duplicate().get(frame);
                out.writeInt(frame.length);
                out.write(frame);
                read(ByteBuffer.wrap(frame));
            }
        }
    }

    // ---- judging ----

    static final Time TIME = (Time) Proxy.newProxyInstance(BatchCheck.class.getClassLoader(),
        new Class<?>[] {Time.class}, (proxy, method, args) -> NOW_MS);

    static final LogValidator.MetricsRecorder NO_METRICS = new LogValidator.MetricsRecorder() {
        public void recordInvalidMagic() { }

        public void recordInvalidOffset() { }

        public void recordInvalidSequence() { }

        public void recordInvalidChecksums() { }

        public void recordNoKeyCompactedTopic() { }
    };

    static void judge(ByteBuffer frame) {
        try {
            OUT.printf("V 0 max=%d\n", accept(MemoryRecords.readableRecords(frame)));
        } catch (RecordValidationException e) {
            refuse(e.invalidException());
        } catch (RuntimeException | Error e) {
            refuse(e);
        }
    }

    static void refuse(Throwable e) {
        String message = String.valueOf(e.getMessage()).replace('\n', ' ');
        OUT.printf("V %d # %s: %.150s\n", Errors.forException(e).code(),
            e.getClass().getSimpleName(), message);
    }

    static long accept(MemoryRecords records) {
        ProduceRequest.validateRecords((short) 12, records);
        MutableRecordBatch batch = records.batches().iterator().next();
        if (batch.baseOffset() != 0) {
            throw new InvalidRecordException("base offset");
        }
        if (!batch.isValid()) {
            throw new CorruptRecordException("crc");
        }
        CompressionType type = batch.compressionType();
        return new LogValidator(records, new TopicPartition("t", 0), TIME, type,
            Compression.of(type).build(), true, RecordBatch.MAGIC_VALUE_V2,
            TimestampType.CREATE_TIME, Long.MAX_VALUE, 3600 * 1000L, 0, AppendOrigin.CLIENT)
            .validateMessagesAndAssignOffsets(PrimitiveRef.ofLong(0), NO_METRICS,
                BufferSupplier.NO_CACHING)
            .maxTimestampMs();
    }
}
