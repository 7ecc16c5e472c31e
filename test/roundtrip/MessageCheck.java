/* Kafka's side of the message round trip (run-messages): the generated classes of kafka-clients and
 * of the coordinators, filled and read by reflection.
 *
 *   MessageCheck read              reads lines "NAME VERSION HEX JSON" on stdin: parses the bytes,
 *                                  compares each value with the JSON, writes the bytes again, which
 *                                  must be the same; then "NAME ok COUNT" or "NAME FAIL reason"
 *   MessageCheck emit SEED COUNT   COUNT random messages "NAME VERSION HEX" of every class and
 *                                  version whose name is a line of stdin
 *   MessageCheck tables            every API of a broker with its versions, and every error
 */
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.RefreshRetriableException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.MemoryRecords;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.BufferedOutputStream;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

public class MessageCheck {
    static final String[] PACKAGES = {
        "org.apache.kafka.common.message.",
        "org.apache.kafka.coordinator.group.generated.",
        "org.apache.kafka.coordinator.transaction.generated.",
        "org.apache.kafka.coordinator.share.generated.",
    };
    static final Map<String, Class<?>> CLASSES = new HashMap<>();

    static Class<?> classOf(String name) {
        return CLASSES.computeIfAbsent(name, n -> {
            for (String suffix : new String[] {"Data", ""}) {
                for (String prefix : PACKAGES) {
                    try {
                        return Class.forName(prefix + n + suffix);
                    } catch (ClassNotFoundException e) {
                        // the next one
                    }
                }
            }
            throw new IllegalArgumentException("no class for " + n);
        });
    }

    static Object make(Class<?> type) throws Exception {
        Constructor<?> constructor = type.getDeclaredConstructor();
        constructor.setAccessible(true);
        return constructor.newInstance();
    }

    static byte[] write(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        int size = message.size(cache, version);
        ByteBuffer buffer = ByteBuffer.allocate(size);
        message.write(new ByteBufferAccessor(buffer), cache, version);
        if (buffer.hasRemaining()) {
            throw new IllegalStateException("their size is wrong");
        }
        return buffer.array();
    }

    // ---- read ----

    static final ObjectMapper MAPPER = new ObjectMapper();

    static JsonNode toJson(Message message, short version) throws Exception {
        Class<?> converter = Class.forName(message.getClass().getName() + "JsonConverter");
        for (Method method : converter.getMethods()) {
            if (method.getName().equals("write") && method.getParameterCount() == 3) {
                return (JsonNode) method.invoke(null, message, version, false);
            }
        }
        throw new IllegalStateException("no converter for " + message.getClass());
    }

    static void expect(boolean equal, String where, Object ours, Object theirs) {
        if (!equal) {
            throw new IllegalStateException(where + ": we read " + ours + ", they " + theirs);
        }
    }

    static void compare(String where, JsonNode ours, JsonNode theirs) throws Exception {
        if (theirs.isObject()) {
            expect(ours.isObject(), where, ours, theirs);
            int fields = 0;
            for (Iterator<Map.Entry<String, JsonNode>> i = theirs.fields(); i.hasNext(); ) {
                Map.Entry<String, JsonNode> field = i.next();
                String name = field.getKey();
                fields++;
                if (name.endsWith("SizeInBytes") && ours.has(name.replace("SizeInBytes", ""))) {
                    String text = ours.get(name.replace("SizeInBytes", "")).asText();
                    expect(text.equals("(" + field.getValue().asLong() + " bytes)"),
                        where + "." + name, text, field.getValue());
                    continue;
                }
                expect(ours.has(name), where + "." + name, "nothing", field.getValue());
                compare(where + "." + name, ours.get(name), field.getValue());
            }
            expect(ours.size() == fields, where, ours, theirs);
        } else if (theirs.isArray()) {
            expect(ours.isArray() && ours.size() == theirs.size(), where, ours, theirs);
            for (int i = 0; i < theirs.size(); i++) {
                compare(where + "[" + i + "]", ours.get(i), theirs.get(i));
            }
        } else if (theirs.isBinary()) {
            byte[] bytes = theirs.binaryValue();
            String text = ours.asText();
            expect(text.equals(HexFormat.of().formatHex(bytes))
                || text.equals("(" + bytes.length + " secret bytes)"), where, ours, theirs);
        } else if (theirs.isFloatingPointNumber()) {
            expect(ours.asDouble() == theirs.asDouble(), where, ours, theirs);
        } else if (theirs.isNumber()) {
            expect(ours.isIntegralNumber() && ours.asLong() == theirs.asLong(), where, ours, theirs);
        } else {
            expect(ours.equals(theirs), where, ours, theirs);
        }
    }

    static void readLine(String name, short version, byte[] bytes, String json) throws Exception {
        Message message = (Message) make(classOf(name));
        if (version < message.lowestSupportedVersion()
                || version > message.highestSupportedVersion()) {
            throw new IllegalStateException("not one of their versions");
        }
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        message.read(new ByteBufferAccessor(buffer), version);
        if (buffer.hasRemaining()) {
            throw new IllegalStateException("they leave " + buffer.remaining() + " bytes");
        }
        compare("", MAPPER.readTree(json), toJson(message, version));
        if (!java.util.Arrays.equals(write(message, version), bytes)) {
            throw new IllegalStateException("they write other bytes");
        }
    }

    static void read(BufferedReader in) throws Exception {
        Map<String, Integer> good = new TreeMap<>();
        Map<String, String> bad = new TreeMap<>();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ", 4);
            try {
                readLine(words[0], Short.parseShort(words[1]), HexFormat.of().parseHex(words[2]),
                    words[3]);
                good.merge(words[0], 1, Integer::sum);
            } catch (Exception e) {
                Throwable cause = e instanceof InvocationTargetException ? e.getCause() : e;
                bad.putIfAbsent(words[0], "v" + words[1] + ": " + cause);
            }
        }
        bad.forEach((name, reason) -> System.out.println(name + " FAIL " + reason));
        good.forEach((name, count) -> {
            if (!bad.containsKey(name)) {
                System.out.println(name + " ok " + count);
            }
        });
    }

    // ---- emit ----

    static Random random;

    static String snake(String camel) {
        return camel.replaceAll("([A-Z])", "_$1").toLowerCase();
    }

    static long integer(int bits) {
        switch (random.nextInt(3)) {
            case 0:
                return random.nextInt(100);
            case 1:
                return random.nextBoolean() ? (1L << (bits - 1)) - 1 : -(1L << (bits - 1));
            default:
                return random.nextLong() >> (64 - bits);
        }
    }

    static int length() {
        return random.nextInt(random.nextInt(12) == 0 ? 300 : 12);
    }

    static String text() {
        String letters = "aZ0-._ \"\\\n\u00e9\u20ac";
        StringBuilder text = new StringBuilder();
        for (int i = length(); i > 0; i--) {
            text.append(letters.charAt(random.nextInt(letters.length())));
        }
        if (random.nextInt(10) == 0) {
            text.append("\ud83d\udc26"); // beyond the first plane: four bytes
        }
        return text.toString();
    }

    static byte[] bytes() {
        byte[] bytes = new byte[length()];
        random.nextBytes(bytes);
        return bytes;
    }

    /** A value of the schema's type, for a field or element of the Java class. */
    static Object value(Type type, Class<?> javaType, java.lang.reflect.Type generic)
            throws Exception {
        if (type.isNullable() && random.nextInt(4) == 0) {
            return null;
        }
        if (type.arrayElementType().isPresent()) {
            return array(type.arrayElementType().get(), javaType, generic);
        }
        if (type instanceof Schema) {
            Object struct = make(javaType);
            fill(struct, (Schema) type);
            return struct;
        }
        if (javaType == boolean.class || javaType == Boolean.class) {
            return random.nextBoolean();
        } else if (javaType == byte.class || javaType == Byte.class) {
            return (byte) integer(8);
        } else if (javaType == short.class || javaType == Short.class) {
            return (short) integer(16);
        } else if (javaType == int.class || javaType == Integer.class) {
            return type.toString().equals("UINT16") ? (int) integer(16) & 0xffff : (int) integer(32);
        } else if (javaType == long.class || javaType == Long.class) {
            return type.toString().equals("UINT32") ? integer(32) & 0xffffffffL : integer(64);
        } else if (javaType == double.class) {
            return random.nextGaussian();
        } else if (javaType == String.class) {
            return text();
        } else if (javaType == Uuid.class) {
            return new Uuid(random.nextLong(), random.nextLong());
        } else if (javaType == byte[].class) {
            return bytes();
        } else if (javaType == ByteBuffer.class) {
            return ByteBuffer.wrap(bytes());
        } else if (javaType.getSimpleName().equals("BaseRecords")) {
            return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes()));
        }
        throw new IllegalStateException("no value of " + javaType + " for " + type);
    }

    @SuppressWarnings("unchecked")
    static Object array(Type element, Class<?> javaType, java.lang.reflect.Type generic)
            throws Exception {
        Collection<Object> array;
        Class<?> elementClass;
        if (javaType == List.class) {
            array = new ArrayList<>();
            elementClass = (Class<?>) ((ParameterizedType) generic).getActualTypeArguments()[0];
        } else {
            array = (Collection<Object>) make(javaType);
            elementClass = (Class<?>) ((ParameterizedType) javaType.getGenericSuperclass())
                .getActualTypeArguments()[0];
        }
        for (int i = random.nextInt(4); i > 0; i--) {
            array.add(value(element, elementClass, elementClass));
        }
        return array;
    }

    static void fill(Object struct, Schema schema) throws Exception {
        Map<String, Type> types = new HashMap<>();
        for (BoundField field : schema.fields()) {
            if (field.def.type instanceof TaggedFields) {
                ((TaggedFields) field.def.type).fields().forEach((tag, tagged) -> {
                    if (random.nextInt(3) > 0) {
                        types.put(tagged.name, tagged.type);
                    }
                });
            } else {
                types.put(field.def.name, field.def.type);
            }
        }
        for (Field field : struct.getClass().getDeclaredFields()) {
            Type type = types.remove(snake(field.getName()));
            if (type != null && !Modifier.isStatic(field.getModifiers())) {
                field.setAccessible(true);
                field.set(struct, value(type, field.getType(), field.getGenericType()));
            }
        }
        if (!types.isEmpty()) {
            throw new IllegalStateException(struct.getClass() + " lacks " + types.keySet());
        }
    }

    static void emit(BufferedReader in, PrintStream out, int count) throws Exception {
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            Class<?> type = classOf(words[0]);
            Schema[] schemas = (Schema[]) type.getField("SCHEMAS").get(null);
            Message empty = (Message) make(type);
            for (short v = empty.lowestSupportedVersion(); v <= empty.highestSupportedVersion(); v++) {
                for (int i = 0; i < count; i++) {
                    Message message = (Message) make(type);
                    fill(message, schemas[v]);
                    out.println(words[0] + " " + v + " " + HexFormat.of().formatHex(write(message, v)));
                }
            }
        }
    }

    // ---- tables ----

    static void tables() {
        for (ApiKeys key : ApiKeys.values()) {
            if (!key.inScope(ApiMessageType.ListenerType.BROKER)) {
                continue;
            }
            System.out.print("api " + key.id + " " + key.name + " " + key.oldestVersion() + "-"
                + key.latestVersion());
            for (short v = key.oldestVersion(); v <= key.latestVersion(); v++) {
                System.out.print(" " + key.requestHeaderVersion(v) + "/" + key.responseHeaderVersion(v));
            }
            System.out.println();
        }
        for (int code = -1; code < Errors.values().length - 1; code++) {
            Errors error = Errors.forCode((short) code);
            boolean retriable = error.exception() instanceof RetriableException;
            boolean refresh = error.exception() instanceof RefreshRetriableException;
            System.out.println("error " + code + " " + error.name() + " "
                + (retriable ? "retriable" : "") + (refresh ? " refresh" : ""));
        }
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(
            new InputStreamReader(System.in, StandardCharsets.UTF_8));
        if (args[0].equals("read")) {
            read(in);
        } else if (args[0].equals("tables")) {
            tables();
        } else {
            random = new Random(Long.parseLong(args[1]));
            PrintStream out = new PrintStream(new BufferedOutputStream(System.out, 1 << 16));
            emit(in, out, Integer.parseInt(args[2]));
            out.flush();
        }
    }
}
