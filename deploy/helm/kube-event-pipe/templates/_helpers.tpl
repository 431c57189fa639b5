{{/* The name of all objects: the release's, with the chart's where it does not hold it. */}}
{{- define "kube-event-pipe.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of roles and their bindings, which releases in other namespaces may have beside ours. */}}
{{- define "kube-event-pipe.clusterName" -}}
{{- $name := include "kube-event-pipe.fullname" . -}}
{{- if eq $name .Release.Namespace -}}
{{- $name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Namespace $name -}}
{{- end -}}
{{- end -}}

{{- define "kube-event-pipe.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kube-event-pipe.labels" -}}
{{ include "kube-event-pipe.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "kube-event-pipe.serviceAccountName" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "kube-event-pipe.fullname" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "kube-event-pipe.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* All that the program may do, in the cluster or in each of its namespaces. */}}
{{- define "kube-event-pipe.rules" -}}
- apiGroups: [""]
  resources: ["events"]
  verbs: ["list", "watch"]
{{- end -}}

{{- define "kube-event-pipe.subjects" -}}
- kind: ServiceAccount
  name: {{ include "kube-event-pipe.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
