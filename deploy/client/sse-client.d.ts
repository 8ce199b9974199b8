/** An event of a channel. */
export interface ChannelEvent {
    channel: string;
    /** The event's name, `message` where it has none. */
    type: string;
    data: string;
    /** The cursor of the stream with this event: one opaque text for all channels. */
    lastEventId?: string;
}

/** Events of a channel that were lost, or may have been: offsets in its history, null where they are not known. */
export interface Gap {
    channel: string;
    from: number | null;
    to: number | null;
}

/**
 * `open`: all channels of this tab are served. `refused`: the gateway gave an answer that is final. `ended`: all channels have
 * ended, and no stream is asked for any more.
 */
export type State = 'connecting' | 'open' | 'refused' | 'ended';

export interface Options {
    /** A fresh ticket for a stream of these channels, asked for before each stream is opened. */
    ticket?: (channels: string[]) => Promise<string>;
    /** As fetch has it, for a gateway at another origin. Default: `same-origin`. */
    credentials?: RequestCredentials;
    /** Begin here rather than now: the id of an event, or `earliest`. */
    lastEventId?: string;
    /** Tabs with the same name share a stream. Default: the URL. Two users of one browser need two names. */
    name?: string;
    /** Milliseconds without a byte after which a stream counts as dead: three heartbeats. Default: 45000. */
    silence?: number;
}

export interface Client {
    /** Hands events of `channel` to `handler`: all, or those named `event`. Returns what ends that. */
    on(channel: string, handler: (event: ChannelEvent) => void, options?: { event?: string }): () => void;
    /** Ends all of it in this tab. */
    close(): void;
    /** Events of a channel of this tab were lost: read its state anew. */
    onGap?: (gap: Gap) => void;
    /** A channel of this tab has ended: no event will come, unless its publisher begins anew. Once, until an event comes. */
    onEnd?: (end: { channel: string }) => void;
    /** `status`: that of the answer, with `refused`; 204 with `ended`. */
    onState?: (state: State, status?: number) => void;
}

export function connect(url: string | URL, options?: Options): Client;
