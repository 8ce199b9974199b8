// A real OpenID provider (npm oidc-provider) over https, whose access tokens are JWTs and whose keys can be changed.

import fs from 'node:fs';
import https from 'node:https';
import Provider from 'oidc-provider';
import { freePort } from './ports.mjs';
import { until } from './wait.mjs';

const AUDIENCE = 'https://sse.example';

export class OidcProvider {
    /** `ca`: an Authority; `issuers`: of lib/tokens.mjs, whose keys it signs with, the first one first. */
    static async start(scope, { ca, issuers }) {
        const provider = new OidcProvider();
        provider.port = await freePort();
        provider.url = `https://localhost:${provider.port}`;
        provider.ca = ca;
        provider.requests = 0; // of its key set
        provider.certificate = await ca.sign('oidc');
        provider.use(issuers);
        await provider.listen();
        scope.defer(() => provider.leave());
        return provider;
    }

    get audience() {
        return AUDIENCE;
    }

    get jwks() {
        return `${this.url}/jwks`;
    }

    /** From now on it has the keys of these alone. */
    use(issuers) {
        const algorithm = issuers[0].algorithm;
        const provider = new Provider(this.url, {
            jwks: { keys: issuers.map((i) => i.privateJwk) },
            clients: [{ client_id: 'ann', client_secret: 'secret', id_token_signed_response_alg: algorithm, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }],
            scopes: ['news'],
            features: {
                devInteractions: { enabled: false },
                clientCredentials: { enabled: true },
                resourceIndicators: {
                    enabled: true,
                    defaultResource: () => AUDIENCE,
                    useGrantedResource: () => true,
                    getResourceServerInfo: () => ({ scope: 'news', audience: AUDIENCE, accessTokenFormat: 'jwt', jwt: { sign: { alg: algorithm } } }),
                },
            },
        });
        this.handler = provider.callback();
    }

    async listen() {
        const { cert, key } = this.certificate;
        this.server = https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, (request, response) => {
            if (request.url === '/jwks') this.requests++;
            this.handler(request, response);
        });
        await new Promise((resolve, reject) => this.server.once('error', reject).listen(this.port, 'localhost', resolve));
    }

    async leave() {
        this.server.closeAllConnections();
        await new Promise((resolve) => this.server.close(resolve));
    }

    /** An access token of the client "ann" with the scope "news". */
    async token() {
        const body = 'grant_type=client_credentials&scope=news';
        const answer = await new Promise((resolve, reject) => {
            const request = https.request(`${this.url}/token`, {
                method: 'POST', ca: fs.readFileSync(this.ca.cert), agent: false, auth: 'ann:secret',
                headers: { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': body.length },
            }, (response) => {
                let text = '';
                response.on('data', (part) => (text += part)).on('end', () => resolve(JSON.parse(text))).on('error', reject);
            });
            request.on('error', reject).end(body);
        });
        if (!answer.access_token) throw new Error(JSON.stringify(answer));
        return answer.access_token;
    }

    async asked(times) {
        await until(`the key set was asked for ${times} times`, () => this.requests >= times);
    }
}
