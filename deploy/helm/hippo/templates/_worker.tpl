{{/* A pool of workers: what it says, over what all say. */}}
{{- define "hippo.pool" -}}
{{ toYaml (mergeOverwrite (deepCopy .root.Values.workerDefaults) (deepCopy (.given | default dict))) }}
{{- end }}

{{- define "hippo.grace" -}}
{{ .terminationGracePeriodSeconds | default (add (int .drainSeconds) 30) }}
{{- end }}

{{/* The pods of a pool. Of dict "root" "name" "pool". */}}
{{- define "hippo.workerPod" -}}
{{- $root := .root }}
{{- $pool := .pool }}
metadata:
  labels:
    {{- include "hippo.labels" $root | nindent 4 }}
    app.kubernetes.io/component: worker
    hippo/pool: {{ .name }}
  {{- with $pool.podAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "hippo.fullname" $root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext: {{- include "hippo.podSecurity" $root | nindent 4 }}
  # SIGTERM lets it save and give back what it trains.
  terminationGracePeriodSeconds: {{ include "hippo.grace" $pool }}
  {{- with $pool.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- if eq $pool.autoscaling.kind "scaledJob" }}
  restartPolicy: Never
  {{- end }}
  {{- if $pool.secretsSecret }}
  initContainers:
    # A worker takes secrets only from a file that nobody else can read, which one of a Secret's volume is not.
    - name: secrets
      image: {{ include "hippo.image" (dict "image" $pool.image "appVersion" $root.Chart.AppVersion) }}
      imagePullPolicy: {{ $pool.image.pullPolicy }}
      command: [install, -m, "0600", /etc/hippo/secrets/secrets.env, /run/hippo/secrets.env]
      securityContext: {{- include "hippo.containerSecurity" $root | nindent 8 }}
      resources:
        requests: {cpu: 10m, memory: 16Mi}
        limits: {memory: 64Mi}
      volumeMounts:
        - {name: secrets, mountPath: /etc/hippo/secrets, readOnly: true}
        - {name: own-secrets, mountPath: /run/hippo}
  {{- end }}
  containers:
    - name: worker
      image: {{ include "hippo.image" (dict "image" $pool.image "appVersion" $root.Chart.AppVersion) }}
      imagePullPolicy: {{ $pool.image.pullPolicy }}
      securityContext: {{- include "hippo.containerSecurity" $root | nindent 8 }}
      env:
        - {name: HIPPO_SERVER, value: "{{ include "hippo.host" $root }}:7440"}
        - {name: HIPPO_CA, value: /etc/hippo/ca/ca.crt}
        - {name: HIPPO_TOKEN_FILE, value: /etc/hippo/token/{{ $pool.tokenKey }}}
        - {name: HIPPO_DATA_DIR, value: /var/lib/hippo/worker}
        - {name: HIPPO_METRICS_ADDRESS, value: "127.0.0.1:7442"}
        - name: HIPPO_WORKER_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        - {name: HIPPO_LABELS, value: "pool={{ .name }}"}
        - {name: HIPPO_DRAIN_SECONDS, value: {{ $pool.drainSeconds | quote }}}
        {{- if $pool.slots }}
        - {name: HIPPO_SLOTS, value: {{ $pool.slots | quote }}}
        {{- end }}
        {{- if eq $pool.autoscaling.kind "scaledJob" }}
        - {name: HIPPO_EXIT_WHEN_IDLE, value: {{ $pool.autoscaling.exitWhenIdle }}}
        {{- end }}
        {{- if $pool.secretsSecret }}
        - {name: HIPPO_SECRETS_FILE, value: /run/hippo/secrets.env}
        {{- end }}
        {{- range $name, $value := $pool.env }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
      {{- include "hippo.storageEnvFrom" $root | nindent 6 }}
      # Asked within the pod, since a worker has no certificate to show outside. It imports torch first.
      startupProbe:
        exec: {command: [python, /usr/local/lib/hippo/ready.py, --live, "http://127.0.0.1:7442"]}
        periodSeconds: 10
        timeoutSeconds: 10
        failureThreshold: 60
      livenessProbe:
        exec: {command: [python, /usr/local/lib/hippo/ready.py, --live, "http://127.0.0.1:7442"]}
        periodSeconds: 60
        timeoutSeconds: 30
        failureThreshold: 5
      readinessProbe:
        exec: {command: [python, /usr/local/lib/hippo/ready.py, "http://127.0.0.1:7442"]}
        periodSeconds: 30
        timeoutSeconds: 30
      resources:
        {{- $resources := deepCopy $pool.resources }}
        {{- if $pool.gpus }}
        {{- $resources = mergeOverwrite $resources (dict "limits" (dict $pool.gpuResource $pool.gpus)) }}
        {{- end }}
        {{- toYaml $resources | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /var/lib/hippo/worker}
        - {name: ca, mountPath: /etc/hippo/ca, readOnly: true}
        - {name: token, mountPath: /etc/hippo/token, readOnly: true}
        {{- if $pool.secretsSecret }}
        - {name: own-secrets, mountPath: /run/hippo, readOnly: true}
        {{- end }}
        - {name: tmp, mountPath: /tmp}
        - {name: shared-memory, mountPath: /dev/shm}
        {{- include "hippo.storageMount" $root | nindent 8 }}
  volumes:
    - name: data
      emptyDir: {sizeLimit: {{ $pool.cacheSize }}}
    - name: ca
      secret:
        secretName: {{ include "hippo.tlsSecret" $root }}
        defaultMode: 0440
        items: [{key: ca.crt, path: ca.crt}]
    - name: token
      secret: {secretName: {{ $pool.tokenSecret }}, defaultMode: 0440}
    {{- with $pool.secretsSecret }}
    - name: secrets
      secret: {secretName: {{ . }}, defaultMode: 0440}
    - name: own-secrets
      emptyDir: {medium: Memory, sizeLimit: 1Mi}
    {{- end }}
    - {name: tmp, emptyDir: {}}
    - name: shared-memory
      emptyDir: {medium: Memory, sizeLimit: {{ $pool.sharedMemory }}}
    {{- include "hippo.storageVolume" $root | nindent 4 }}
  {{- with $pool.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $pool.gpus }}
  {{- with $pool.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with $pool.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
