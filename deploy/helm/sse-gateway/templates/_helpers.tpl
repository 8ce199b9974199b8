{{- define "sse-gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "sse-gateway.fullname" -}}
{{- $name := include "sse-gateway.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sse-gateway.selector" -}}
app.kubernetes.io/name: {{ include "sse-gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sse-gateway.labels" -}}
{{ include "sse-gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "sse-gateway.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sse-gateway.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* What does not go together is an error of `helm install`, and not of each pod. */ -}}
{{- define "sse-gateway.check" -}}
{{- if ge (add .Values.drain.delay .Values.drain.window) (int64 .Values.drain.timeout) -}}
{{- fail "drain.timeout must be longer than drain.delay and drain.window together: streams would be cut" -}}
{{- end -}}
{{- $most := index .Values.options "max-connections" -}}
{{- if and .Values.autoscaling.enabled $most (ge (int64 .Values.autoscaling.averageStreams) (int64 $most)) -}}
{{- fail "autoscaling.averageStreams must be less than options.max-connections: gateways would be full before there are more" -}}
{{- end -}}
{{- if gt (int64 .Values.autoscaling.minReplicas) (int64 .Values.autoscaling.maxReplicas) -}}
{{- fail "autoscaling.maxReplicas must not be less than autoscaling.minReplicas" -}}
{{- end -}}
{{- end -}}

{{- define "sse-gateway.env" -}}
- name: SSE_GATEWAY_ID
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: SSE_GATEWAY_REDIS
{{- if .Values.redis.urlSecret.name }}
  valueFrom:
    secretKeyRef:
      name: {{ .Values.redis.urlSecret.name }}
      key: {{ .Values.redis.urlSecret.key }}
{{- else }}
  value: {{ .Values.redis.url | quote }}
{{- end }}
{{- range $name, $value := .Values.options }}
- name: SSE_GATEWAY_{{ $name | upper | replace "-" "_" }}
  {{- if kindIs "slice" $value }}
  value: {{ join "," $value | quote }}
  {{- else if kindIs "float64" $value }}
  value: {{ if eq $value (floor $value) }}{{ int64 $value | quote }}{{ else }}{{ $value | quote }}{{ end }}
  {{- else if kindIs "bool" $value }}
  {{- /* YAML takes a bare on or off for a boolean, too. */}}
  value: {{ ternary "on" "off" $value | quote }}
  {{- else }}
  value: {{ $value | toString | quote }}
  {{- end }}
{{- end }}
{{- if .Values.drain.delay }}
- name: SSE_GATEWAY_DRAIN_DELAY
  value: {{ .Values.drain.delay }}s
{{- end }}
- name: SSE_GATEWAY_DRAIN_WINDOW
  value: {{ .Values.drain.window }}s
- name: SSE_GATEWAY_DRAIN_TIMEOUT
  value: {{ .Values.drain.timeout }}s
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}
