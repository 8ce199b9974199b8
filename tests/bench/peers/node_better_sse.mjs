// A peer: better-sse, one of its channels for each Redis channel. node_better_sse.mjs PORT REDIS_PORT
import { createServer } from 'node:http';
import { createChannel, createSession } from 'better-sse';
import Redis from 'ioredis';

const [port, redisPort] = process.argv.slice(2).map(Number);
const redis = new Redis(redisPort, '127.0.0.1');
const channels = new Map();

redis.on('message', (name, data) => channels.get(name)?.broadcast(data, undefined));

const server = createServer(async (request, response) => {
  const name = new URL(request.url, 'http://bench').searchParams.get('channel');
  if (!channels.has(name)) {
    channels.set(name, createChannel());
    await redis.subscribe(name);
  }
  // Data goes out as it is, as from the others; its default is JSON.
  const session = await createSession(request, response, { serializer: (data) => data });
  channels.get(name).register(session);
});
// Subscribing before the connection is ready loses, now and then, all that comes.
redis.once('ready', () => server.listen(port, '127.0.0.1', 4096));
