// Publishes one text in the three ways there are: plain, with an event name, durable.
//
//     mvn -q dependency:copy-dependencies
//     REDIS_URL=redis://127.0.0.1:6379 java -cp 'target/dependency/*' Publish.java CHANNEL TEXT

import java.net.URI;
import java.util.List;
import redis.clients.jedis.JedisPooled;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.exceptions.JedisException;

public class Publish {
    /** Gives data an event name. Text that users wrote goes into an envelope, lest it begins like one. */
    static String envelope(String event, String data) {
        if (event.chars().anyMatch(c -> c == '\r' || c == '\n' || c == 0)) {
            throw new IllegalArgumentException("the event name holds a line break or a NUL");
        }
        return "\u001eSSE/1\nevent: " + event + "\n\n" + data;
    }

    /** Keeps an event and publishes it. Returns its id, and how many gateways got it now. */
    static List<?> publishDurable(JedisPooled jedis, String channel, String data, String event) {
        try {
            // The key of the channel's history, and not the channel: on a cluster that is needed.
            return (List<?>) jedis.fcall("sse_publish", List.of("sse:{" + channel + "}"), List.of(data, event));
        } catch (JedisDataException error) {
            if (!error.getMessage().contains("Function not found")) {
                throw error;
            }
            throw new IllegalStateException("Redis has no function sse_publish. Load it: sse-publish --install", error);
        }
    }

    public static void main(String[] args) {
        String channel = args[0];
        String text = args[1];
        String url = System.getenv().getOrDefault("REDIS_URL", "redis://127.0.0.1:6379");
        try (JedisPooled jedis = new JedisPooled(URI.create(url), 5000)) {
            System.out.println("plain: gateways " + jedis.publish(channel, text));
            System.out.println("named: gateways " + jedis.publish(channel, envelope("order", text)));
            List<?> answer = publishDurable(jedis, channel, text, "order");
            System.out.println("durable: gateways " + answer.get(1) + ", id " + answer.get(0));
        } catch (JedisException | IllegalStateException | IllegalArgumentException error) {
            System.err.println("publish: " + error.getMessage());
            System.exit(1);
        }
    }
}
