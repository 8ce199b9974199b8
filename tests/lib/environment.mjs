// Options in the environment. The gateway looks only for those that it has, so a misspelt one is not noticed there.

import { command } from './command.mjs';
import { GATEWAY } from './paths.mjs';

/** The names in `environment` that begin with SSE_GATEWAY_ and are no options of the gateway. */
export async function unknownOptions(environment) {
    const { out } = await command(GATEWAY, ['--help']);
    const options = new Set(out.match(/--[a-z][a-z0-9-]*/g));
    const optionOf = (name) => `--${name.replace('SSE_GATEWAY_', '').toLowerCase().replaceAll('_', '-')}`;
    return Object.keys(environment).filter((name) => name.startsWith('SSE_GATEWAY_') && !options.has(optionOf(name)));
}
