// A small application with sessions of its own: a cookie, and an opinion about channels for NGINX to ask for.

import crypto from 'node:crypto';
import http from 'node:http';

export class SessionApp {
    #sessions = new Map();
    asked = 0;

    static async start(scope) {
        const app = new SessionApp();
        const server = http.createServer((request, response) => app.#answer(request, response));
        await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
        app.port = server.address().port;
        scope.defer(() => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))));
        return app;
    }

    /** The Cookie header of a new session of `user`. */
    login(user) {
        const id = crypto.randomUUID();
        this.#sessions.set(id, user);
        return { Cookie: `theme=dark; sid=${id}` };
    }

    logout({ Cookie }) {
        this.#sessions.delete(sessionOf(Cookie));
    }

    #answer(request, response) {
        this.asked++;
        const user = this.#sessions.get(sessionOf(request.headers.cookie ?? ''));
        if (request.url !== '/sse-auth') response.writeHead(404).end();
        else if (!user) response.writeHead(401).end();
        else response.writeHead(200, { 'X-SSE-Channels': `user:${user}:*, news`, 'X-SSE-Subject': user }).end();
    }
}

function sessionOf(cookies) {
    return cookies.match(/(?:^|; )sid=([^;]*)/)?.[1];
}
