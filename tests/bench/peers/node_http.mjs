// A peer: what many write by hand. node_http.mjs PORT REDIS_PORT
import { createServer } from 'node:http';
import Redis from 'ioredis';

const [port, redisPort] = process.argv.slice(2).map(Number);
const redis = new Redis(redisPort, '127.0.0.1');
const channels = new Map();

redis.on('message', (channel, data) => {
  const block = `data: ${data}\n\n`;
  for (const response of channels.get(channel) ?? []) response.write(block);
});

const server = createServer(async (request, response) => {
  const channel = new URL(request.url, 'http://bench').searchParams.get('channel');
  if (!channels.has(channel)) {
    channels.set(channel, new Set());
    await redis.subscribe(channel);
  }
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  response.write('retry: 2000\n\n');
  channels.get(channel).add(response);
  request.on('close', () => channels.get(channel).delete(response));
});
// Subscribing before the connection is ready loses, now and then, all that comes.
redis.once('ready', () => server.listen(port, '127.0.0.1', 4096));
