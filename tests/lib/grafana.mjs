// Dashboards of Grafana, held to the types that Grafana publishes of them and of its panels (@grafana/schema).

import path from 'node:path';
import { ROOT } from './paths.mjs';
import { typeFaults } from './types.mjs';

const RAW = path.join(ROOT, 'tests/node_modules/@grafana/schema/dist/esm/raw');
const from = (file, name) => `import(${JSON.stringify(path.join(RAW, file))}).${name}`;
const PANELS = { timeseries: 'composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen', stat: 'composable/stat/panelcfg/x/StatPanelCfg_types.gen', heatmap: 'composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen' };
const DASHBOARD = 'dashboard/x/dashboard_types.gen';
// The package has none for queries of Prometheus.
const QUERY = `{ refId: string; expr: string; legendFormat?: string; datasource: J<${from(DASHBOARD, 'DataSourceRef')}>; range?: boolean; instant?: boolean; interval?: string; format?: "heatmap" }`;

// JSON has the values of an enum, and may leave out what has a default.
const JSON_OF = 'type J<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T : T extends (infer U)[] ? J<U>[] : T extends object ? { [K in keyof T]?: J<T[K]> } : T;';

/** Its parts, each with its type. */
export function partsOf({ panels, annotations, templating, ...rest }) {
    const parts = [[`J<Omit<${from(DASHBOARD, 'Dashboard')}, "panels" | "annotations" | "templating">>`, rest]];
    for (const query of annotations.list) parts.push([`J<${from(DASHBOARD, 'AnnotationQuery')} & { expr: string; titleFormat: string }>`, query]);
    for (const variable of templating.list) parts.push([`J<${from(DASHBOARD, 'VariableModel')}>`, variable]);
    for (const { options, fieldConfig, targets, ...panel } of panels) {
        if (panel.type === 'row') {
            parts.push([`J<${from(DASHBOARD, 'RowPanel')}>`, panel]);
            continue;
        }
        const { defaults: { custom, ...defaults }, ...source } = fieldConfig;
        parts.push([`J<Omit<${from(DASHBOARD, 'Panel')}, "options" | "fieldConfig" | "targets">>`, panel], [`J<${from(PANELS[panel.type], 'Options')}>`, options],
            [`J<Omit<${from(DASHBOARD, 'FieldConfigSource')}, "defaults">>`, source], [`J<Omit<${from(DASHBOARD, 'FieldConfig')}, "custom">>`, defaults]);
        if (custom) parts.push([panel.type === 'stat' ? 'Record<string, never>' : `J<${from(PANELS[panel.type], 'FieldConfig')}>`, custom]);
        for (const target of targets) parts.push([QUERY, target]);
    }
    return parts;
}

/** What is wrong with each of the parts: an array of messages for each. */
export async function partFaults(scope, parts) {
    const faults = await typeFaults(scope, [JSON_OF, ...parts.map(([type, value], i) => `const d${i}: ${type} = ${JSON.stringify(value)};`)]);
    return faults.slice(1);
}
