// A private Prometheus with the configuration and the alerts that deploy/prometheus ships, but with short times.

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { ROOT } from './paths.mjs';
import { freePort } from './ports.mjs';
import { Process } from './process.mjs';
import { fillSite } from './site.mjs';
import { tempFolder } from './temp.mjs';

const INTERVAL = '250ms';
const FOR = '500ms';

export class Prometheus {
    static async start(scope, { gateways }) {
        const prometheus = new Prometheus();
        const folder = tempFolder(scope, 'prometheus');
        prometheus.port = await freePort();
        const config = fillSite('deploy/prometheus/prometheus.yml', { gateway: gateways.map((g) => `- ${g.host}:${g.adminPort}`) });
        fs.writeFileSync(path.join(folder, 'prometheus.yml'), config.replace(/_interval: .*/g, `_interval: ${INTERVAL}`));
        const alerts = fs.readFileSync(path.join(ROOT, 'deploy/prometheus/alerts.yml'), 'utf8');
        fs.writeFileSync(path.join(folder, 'alerts.yml'), alerts.replace(/^( +for: ).*$/gm, `$1${FOR}`));
        prometheus.process = new Process(scope, 'prometheus', 'prometheus', ['--config.file', path.join(folder, 'prometheus.yml'),
            '--storage.tsdb.path', path.join(folder, 'data'), '--web.listen-address', `127.0.0.1:${prometheus.port}`, '--log.level', 'warn']);
        await prometheus.process.ready('answers', () => prometheus.query('vector(1)'));
        return prometheus;
    }

    /** The samples that PromQL gives now, as { metric, value }; throws where it does not parse. */
    async query(expr) {
        const answer = await this.#get(`/api/v1/query?query=${encodeURIComponent(expr)}`);
        if (answer.status !== 'success') throw new Error(`${expr}: ${answer.error}`);
        return answer.data.result;
    }

    /** Alerts that fire, as `NAME INSTANCE`, in order. */
    async firing() {
        const { data } = await this.#get('/api/v1/alerts');
        return data.alerts.filter((a) => a.state === 'firing').map(({ labels }) => `${labels.alertname} ${labels.instance ?? ''}`.trim()).sort();
    }

    /** The health of each rule: `ok` once it was evaluated without an error. */
    async health() {
        const { data } = await this.#get('/api/v1/rules');
        return data.groups.flatMap(({ rules }) => rules.map(({ name, health, lastError }) => (health === 'ok' ? 'ok' : `${name}: ${health} ${lastError ?? ''}`)));
    }

    /** The unit of a metric, as the newest scrape said. */
    async unit(name) {
        return (await this.#get(`/api/v1/targets/metadata?metric=${name}&limit=1`)).data[0]?.unit;
    }

    #get(page) {
        return new Promise((resolve, reject) => {
            http.get({ host: '127.0.0.1', port: this.port, path: page, agent: false, timeout: 5000 }, async (response) => {
                try {
                    resolve(JSON.parse(Buffer.concat(await response.toArray()).toString()));
                } catch (error) {
                    reject(error);
                }
            }).on('error', reject);
        });
    }
}
