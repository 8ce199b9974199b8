// Redis, gateways and NGINX, together.

import { Gateway } from './gateway.mjs';
import { Nginx } from './nginx.mjs';
import { Redis } from './redis.mjs';

/** Starts what is asked for and resolves to { redis, gateway, gateways, nginx } when all of it is ready. */
export async function startTier(scope, { gateways = 1, nginx = false, files, application, redis: redisOptions, ...options } = {}) {
    const redis = await Redis.start(scope, redisOptions);
    const started = await Promise.all(Array.from({ length: gateways }, () => Gateway.start(scope, { redis, ...options })));
    const tier = { redis, gateways: started, gateway: started[0] };
    if (nginx) tier.nginx = await Nginx.start(scope, { gateways: started, files, application });
    return tier;
}
