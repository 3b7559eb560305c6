import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import software.amazon.event.ruler.Machine;

/** One job of `run.py`, in a JVM of its own: what the compiler learns from one bank would slow the next. */
public final class Rate {
    static double seconds() {
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() / 1e9;
    }

    static long used() {
        for (int i = 0; i < 3; i++) System.gc();
        return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
    }

    public static void main(String[] words) throws Exception {
        JsonNode job = new ObjectMapper().readTree(System.in);
        List<String> events;
        try (Stream<String> lines = Files.lines(Path.of(job.get("events").asText()))) {
            events = lines.limit(job.get("count").asLong()).collect(Collectors.toList());
        }
        List<String> patterns = new ArrayList<>();
        for (JsonNode pattern : job.get("patterns")) patterns.add(pattern.toString());
        long before = used();
        Machine machine = new Machine();
        double start = seconds();
        for (int i = 0; i < patterns.size(); i++) machine.addRule("r" + i, patterns.get(i));
        double adding = seconds() - start;
        long bytes = used() - before;
        long hits = 0;
        double best = Double.MAX_VALUE, spent = 0;
        int rounds = 0;
        while (rounds < 1 || rounds < job.get("rounds").asInt() && spent < job.get("seconds").asDouble()) {
            hits = 0;
            start = seconds();
            for (String event : events) hits += machine.rulesForJSONEvent(event).size();
            double took = seconds() - start;
            best = Math.min(best, took);
            spent += took;
            rounds++;
        }
        System.out.printf("{\"rate\": %f, \"hits\": %d, \"adding_s\": %f, \"bytes\": %d}%n",
                events.size() / best, hits, adding, bytes);
    }
}
