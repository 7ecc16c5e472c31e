import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;

import org.apache.kafka.common.utils.internals.Exit;

/**
 * Runs main() of Kafka's command line tools one after the other in one JVM, since each start of one costs more than the
 * tool's own work. A request is a line of base64 fields: the class, what it reads from standard input, its arguments. The
 * answer is a line: exit status, then base64 of standard output and of standard error.
 */
public final class ToolDriver {
    private static final class Ended extends RuntimeException {
        Ended(int status) {
            super("exit " + status, null, false, false);
        }
    }

    private static String text(String field) {
        return new String(Base64.getDecoder().decode(field), StandardCharsets.UTF_8);
    }

    /** The status of the first exit: some tools catch what it throws and exit once more. */
    private static Integer status;

    private static void end(int with) {
        if (status == null) {
            status = with;
        }
        throw new Ended(with);
    }

    private static int call(String name, String[] arguments) {
        status = null;
        try {
            Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) arguments);
            return status == null ? 0 : status;
        } catch (InvocationTargetException thrown) {
            if (status != null) {
                return status;
            }
            thrown.getCause().printStackTrace();
            return 1;
        } catch (ReflectiveOperationException missing) {
            System.err.println(missing);
            return 127;
        }
    }

    public static void main(String[] unused) throws Exception {
        PrintStream answers = System.out;
        PrintStream errors = System.err;
        InputStream requests = System.in;
        Exit.setExitProcedure((with, message) -> end(with));
        List<Runnable> hooks = new ArrayList<>();
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        Exit.setHaltProcedure((with, message) -> end(with));
        BufferedReader lines = new BufferedReader(new InputStreamReader(requests, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] fields = line.split(" ", -1);
            String[] arguments =
                Arrays.stream(fields).skip(2).map(ToolDriver::text).toArray(String[]::new);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ByteArrayOutputStream err = new ByteArrayOutputStream();
            System.setOut(new PrintStream(out, true));
            System.setErr(new PrintStream(err, true));
            System.setIn(new ByteArrayInputStream(Base64.getDecoder().decode(fields[1])));
            int ended = call(text(fields[0]), arguments);
            hooks.forEach(Runnable::run); // what the tool left for the end of its process
            hooks.clear();
            System.out.flush();
            System.err.flush();
            System.setErr(errors);
            Base64.Encoder encoder = Base64.getEncoder();
            answers.println(ended + " " + encoder.encodeToString(out.toByteArray()) + " "
                + encoder.encodeToString(err.toByteArray()));
            answers.flush();
        }
    }
}
