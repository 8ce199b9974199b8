<?php

// Publishes one text in the three ways there are: plain, with an event name, durable.
//
//     REDIS_HOST=127.0.0.1 REDIS_PORT=6379 php publish.php CHANNEL TEXT

declare(strict_types=1);

/** The data with the fields event, id and retry. Text that users wrote goes into one, lest it begins like one. */
function envelope(string $data, array $fields = []): string
{
    $lines = '';
    foreach ($fields as $name => $value) {
        if (strpbrk($value, "\r\n\0") !== false) {
            throw new InvalidArgumentException("$name holds a line break or a NUL");
        }
        $lines .= "$name: $value\n";
    }
    return "\x1eSSE/1\n$lines\n$data";
}

/** Keeps an event and publishes it. Returns its id, and how many gateways got it now. */
function publishDurable(Redis $redis, string $channel, string $data, string $event = ''): array
{
    // The key of the channel's history, and not the channel: on a cluster that is needed.
    $answer = $redis->rawCommand('FCALL', 'sse_publish', 1, "sse:{{$channel}}", $data, $event);
    if ($answer === false) { // phpredis throws where the connection fails, and not for an error of Redis
        $error = $redis->getLastError();
        throw new RuntimeException(str_contains($error, 'Function not found')
            ? 'Redis has no function sse_publish. Load it: sse-publish --install' : $error);
    }
    return $answer;
}

try {
    [, $channel, $text] = $argv;
    $redis = new Redis();
    $redis->connect(getenv('REDIS_HOST') ?: '127.0.0.1', (int) (getenv('REDIS_PORT') ?: 6379), 5.0, null, 0, 5.0);
    $plain = $redis->publish($channel, $text);
    $named = $redis->publish($channel, envelope($text, ['event' => 'order']));
    [$id, $durable] = publishDurable($redis, $channel, $text, 'order');
    echo "plain: gateways $plain\nnamed: gateways $named\ndurable: gateways $durable, id $id\n";
} catch (RedisException | RuntimeException | InvalidArgumentException $error) {
    fwrite(STDERR, "publish: {$error->getMessage()}\n");
    exit(1);
}
