// axe-core in a page: what it finds wrong for those who do not see it or use no mouse.

import fs from 'node:fs';
import { createRequire } from 'node:module';

const SOURCE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** One line for each violation in `page`, of all rules of WCAG 2.2 AA and of axe's best practices. The page's context bypasses its CSP. */
export async function axeFindings(page) {
    if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(SOURCE);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(' | ')}`);
}
