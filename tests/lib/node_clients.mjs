// Event stream clients that others wrote for Node.js, behind one small face:
//
//   connect(url, types) -> { events: [{ type, data, lastEventId }], opens(), errors(), state(): 'open' | 'connecting' | 'closed', close() }

import polyfill from 'event-source-polyfill';
import EventSource2 from 'eventsource-2';
import { EventSource as EventSource3 } from 'eventsource-3';
import { EventSource as EventSource4 } from 'eventsource-4';
import { EventSource as ExtendedEventSource } from 'extended-eventsource';
import { EventSource as UndiciEventSource } from 'undici';

const STATES = ['connecting', 'open', 'closed'];

function client(EventSource, options) {
    return (url, types = ['message']) => {
        const events = [];
        const source = new EventSource(url, options);
        let opens = 0;
        let errors = 0;
        source.onopen = () => opens++;
        for (const type of types) {
            source.addEventListener(type, (event) => events.push({ type: event.type, data: event.data, lastEventId: event.lastEventId }));
        }
        source.onerror = () => errors++; // eventsource 2 throws where nobody listens
        return { events, opens: () => opens, errors: () => errors, state: () => STATES[source.readyState], close: () => source.close() };
    };
}

export const NODE_CLIENTS = {
    'eventsource 2': client(EventSource2, { rejectUnauthorized: false }), // it does not look at NODE_TLS_REJECT_UNAUTHORIZED
    'eventsource 3': client(EventSource3),
    'eventsource 4': client(EventSource4),
    'event-source-polyfill': client(polyfill.EventSourcePolyfill),
    'extended-eventsource': client(ExtendedEventSource, { disableLogger: true }),
    undici: client(UndiciEventSource),
};
