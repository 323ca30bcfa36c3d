{{/* Names, labels, and what pods of the server and of workers have in common. */}}
{{- define "hippo.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "hippo.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{- $name := include "hippo.name" . -}}
{{ ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "hippo.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: hippo
{{ include "hippo.selector" . }}
{{- end }}

{{- define "hippo.selector" -}}
app.kubernetes.io/name: {{ include "hippo.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hippo.server" -}}{{ include "hippo.fullname" . }}-server{{- end }}
{{- define "hippo.pods" -}}{{ include "hippo.server" . }}-pods{{- end }}
{{- define "hippo.host" -}}{{ include "hippo.server" . }}.{{ .Release.Namespace }}.svc{{- end }}
{{- define "hippo.tlsSecret" -}}
{{- if .Values.tls.certManager.enabled -}}
{{ .Values.tls.existingSecret | default (printf "%s-tls" (include "hippo.fullname" .)) }}
{{- else -}}
{{ required "tls.existingSecret is needed: a Secret with tls.crt, tls.key and ca.crt, or set tls.certManager.enabled" .Values.tls.existingSecret }}
{{- end -}}
{{- end }}

{{/* The names that the server's certificate is for, one a line. */}}
{{- define "hippo.hosts" -}}
{{ include "hippo.host" . }}
{{ include "hippo.server" . }}
{{ printf "*.%s.%s.svc" (include "hippo.pods" .) .Release.Namespace }}
localhost
{{- range .Values.tls.hosts }}
{{ . }}
{{- end }}
{{- end }}

{{- define "hippo.image" -}}
{{ .image.repository }}:{{ .image.tag | default .appVersion }}
{{- end }}

{{- define "hippo.podSecurity" -}}
runAsNonRoot: true
runAsUser: 744
runAsGroup: 744
fsGroup: 744
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "hippo.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "hippo.storageEnvFrom" -}}
{{- with .Values.storage.existingSecret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
{{- end }}

{{- define "hippo.storageMount" -}}
{{- if .Values.storage.existingClaim }}
- {name: storage, mountPath: {{ .Values.storage.address }}}
{{- end }}
{{- end }}

{{- define "hippo.storageVolume" -}}
{{- if .Values.storage.existingClaim }}
- name: storage
  persistentVolumeClaim: {claimName: {{ .Values.storage.existingClaim }}}
{{- end }}
{{- end }}
