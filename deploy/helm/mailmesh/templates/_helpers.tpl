{{- define "mailmesh.labels" -}}
app.kubernetes.io/name: mailmesh
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "mailmesh.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag }}{{ end }}
{{- end }}

{{- define "mailmesh.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "mailmesh.identity" -}}
{{ if eq .name "worker" }}processor{{ else if eq .name "edge" }}envoy{{ else }}{{ .name }}{{ end }}
{{- end }}

{{- define "mailmesh.meshSecret" -}}
{{ .root.Values.mesh.existingSecretPrefix }}-{{ include "mailmesh.identity" . }}
{{- end }}

{{- define "mailmesh.address" -}}
{{ .root.Release.Name }}-{{ .name }}:{{ get (dict "token-vault" 7101 "ingest" 7102 "processor" 7103 "delivery" 7104 "primitives" 7105 "agents" 7106 "workflows" 7107) .name }}
{{- end }}

{{- define "mailmesh.databaseEnv" -}}
- name: MAILMESH_DATABASE_URL
  valueFrom:
    secretKeyRef:
{{- if .root.Values.database.cloudNativePg.enabled }}
      name: {{ .root.Release.Name }}-database-app
      key: uri
{{- else }}
      name: {{ .root.Values.database.existingSecret | quote }}
      key: {{ include "mailmesh.identity" . }}
{{- end }}
{{- end }}

{{- define "mailmesh.meshEnv" -}}
- {name: MAILMESH_LOG_LEVEL, value: {{ .root.Values.logLevel | quote }}}
- {name: MAILMESH_TLS_CERT, value: /mesh/tls.crt}
- {name: MAILMESH_TLS_KEY, value: /mesh/tls.key}
- {name: MAILMESH_TLS_CA, value: /mesh/ca.crt}
{{- end }}

{{- define "mailmesh.addresses" -}}
{{- $root := .root }}
{{- range tuple "token-vault" "ingest" "processor" "delivery" "workflows" }}
- {name: MAILMESH_{{ . | upper | replace "-" "_" }}_ADDRESS, value: {{ include "mailmesh.address" (dict "root" $root "name" .) | quote }}}
{{- end }}
- {name: MAILMESH_PUBLIC_URL, value: {{ $root.Values.publicUrl | quote }}}
{{- end }}

{{- define "mailmesh.pod" -}}
automountServiceAccountToken: false
{{- if eq .name "token-vault" }}
{{- with .root.Values.platformIdentity.serviceAccountName }}
serviceAccountName: {{ . | quote }}
{{- end }}
{{- end }}
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
topologySpreadConstraints:
{{- range tuple "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "mailmesh.labels" $ | nindent 8 }}
{{- end }}
{{- end }}
