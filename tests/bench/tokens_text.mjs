// The texts of the answers: each follows from its number, so that readers know them without being told.

import { createHash } from 'node:crypto';

const WORDS = ['the', 'gateway', 'holds', 'streams', 'and', 'Redis', 'keeps', 'what', 'they', 'missed', 'naïve', 'token', 'über', 'answer', '=>', '{}'];

export const channelOf = (answer) => `answer:${answer}`;

/** Token `i` of an answer, some 3 to 14 bytes; it begins with a blank, or now and then with a new line. */
export function tokenOf(answer, i) {
  const draw = (Math.imul(answer + 1, 2654435761) ^ Math.imul(i + 1, 40503)) >>> 0;
  return `${draw % 29 === 0 ? '\n' : ' '}${WORDS[draw % WORDS.length]}${draw % 7 === 0 ? i : ''}`;
}

/** How many tokens a piece of an answer is. */
export function tokensIn(text) {
  let count = 0;
  for (let i = 0; i < text.length; i++) if (text[i] === ' ' || text[i] === '\n') count++;
  return count;
}

export function checksumOf(answer, tokens) {
  const hash = createHash('sha256');
  for (let i = 0; i < tokens; i++) hash.update(tokenOf(answer, i));
  return hash.digest('hex');
}
