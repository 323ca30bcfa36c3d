"""JSON Schemas of the custom kinds that the chart makes, by hand from their projects' documentation.

Only what the chart may use is in them, and nothing else is let through: a key that is written wrong would be
ignored by a cluster, or refused.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def _object(properties: dict[str, Schema], *required: str) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _kind(version: str, kind: str, spec: Schema) -> Schema:
    metadata = _object({"name": _TEXT, "labels": _TEXTS}, "name")
    return _object(
        {"apiVersion": {"const": version}, "kind": {"const": kind}, "metadata": metadata, "spec": spec},
        "apiVersion",
        "kind",
        "metadata",
        "spec",
    )


_TEXT: Schema = {"type": "string", "minLength": 1}
_TEXTS: Schema = {"type": "object", "additionalProperties": _TEXT}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_DURATION: Schema = {
    "type": "string",
    "pattern": r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?)$",
}
_KEY = _object({"name": _TEXT, "key": _TEXT}, "name", "key")
_SELECTOR = _object({"matchLabels": _TEXTS}, "matchLabels")

# prometheus-operator, API reference of monitoring.coreos.com/v1.
_RELABELING = _object(
    {
        "sourceLabels": _list({"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}),
        "targetLabel": _TEXT,
        "replacement": _TEXT,
        "regex": _TEXT,
        "action": _TEXT,
    }
)
_ENDPOINT = _object(
    {
        "port": _TEXT,
        "scheme": {"enum": ["http", "https"]},
        "path": {"type": "string", "pattern": "^/"},
        "interval": _DURATION,
        "authorization": _object({"type": _TEXT, "credentials": _KEY}, "credentials"),
        "tlsConfig": _object({"ca": _object({"secret": _KEY}, "secret"), "serverName": _TEXT}, "ca"),
        "relabelings": _list(_RELABELING),
    },
    "port",
)
_RULE = _object(
    {
        "alert": _TEXT,
        "record": _TEXT,
        "expr": _TEXT,
        "for": _DURATION,
        "keep_firing_for": _DURATION,
        "labels": _TEXTS,
        "annotations": _TEXTS,
    },
    "expr",
)

# KEDA 2, "Scaling Deployments", "Scaling Jobs", and the scaler "Prometheus", whose metadata are all texts.
_TRIGGER = _object(
    {
        "type": {"const": "prometheus"},
        "metadata": _object(
            {
                "serverAddress": {"type": "string", "pattern": "^https?://"},
                "query": _TEXT,
                "threshold": {"type": "string", "pattern": "^[1-9][0-9]*$"},
            },
            "serverAddress",
            "query",
            "threshold",
        ),
    },
    "type",
    "metadata",
)
_SCALED_OBJECT = _object(
    {
        "scaleTargetRef": _object({"name": _TEXT}, "name"),
        "minReplicaCount": _COUNT,
        "maxReplicaCount": _COUNT,
        "pollingInterval": _COUNT,
        "cooldownPeriod": _COUNT,
        "advanced": _object(
            {
                "horizontalPodAutoscalerConfig": _object(
                    {
                        "behavior": _object(
                            {
                                "scaleDown": _object(
                                    {
                                        "stabilizationWindowSeconds": {
                                            "type": "integer",
                                            "minimum": 0,
                                            "maximum": 3600,
                                        }
                                    }
                                )
                            }
                        )
                    }
                )
            }
        ),
        "triggers": _list(_TRIGGER),
    },
    "scaleTargetRef",
    "triggers",
)
_SCALED_JOB = _object(
    {
        "minReplicaCount": _COUNT,
        "maxReplicaCount": _COUNT,
        "pollingInterval": _COUNT,
        "successfulJobsHistoryLimit": _COUNT,
        "failedJobsHistoryLimit": _COUNT,
        "rollout": _object({"strategy": {"enum": ["default", "gradual"]}}, "strategy"),
        "scalingStrategy": _object(
            {"strategy": {"enum": ["default", "accurate", "eager", "custom"]}}, "strategy"
        ),
        "jobTargetRef": _object(
            {
                "parallelism": _COUNT,
                "completions": _COUNT,
                "backoffLimit": _COUNT,
                "template": {"type": "object"},
            },
            "template",
        ),
        "triggers": _list(_TRIGGER),
    },
    "jobTargetRef",
    "triggers",
)

# cert-manager, API reference of cert-manager.io/v1.
_CERTIFICATE = _object(
    {
        "secretName": _TEXT,
        "issuerRef": _object(
            {"name": _TEXT, "kind": {"enum": ["Issuer", "ClusterIssuer"]}, "group": _TEXT}, "name"
        ),
        "usages": _list({"enum": ["digital signature", "key encipherment", "server auth", "client auth"]}),
        "dnsNames": _list({"type": "string", "pattern": r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}),
        "ipAddresses": _list(_TEXT),
    },
    "secretName",
    "issuerRef",
)

SCHEMAS: dict[str, Schema] = {
    "ServiceMonitor": _kind(
        "monitoring.coreos.com/v1",
        "ServiceMonitor",
        _object(
            {
                "selector": _SELECTOR,
                "namespaceSelector": _object({"matchNames": _list(_TEXT)}),
                "endpoints": _list(_ENDPOINT),
            },
            "selector",
            "endpoints",
        ),
    ),
    "PrometheusRule": _kind(
        "monitoring.coreos.com/v1",
        "PrometheusRule",
        _object(
            {
                "groups": _list(
                    _object({"name": _TEXT, "interval": _DURATION, "rules": _list(_RULE)}, "name", "rules")
                )
            },
            "groups",
        ),
    ),
    "ScaledObject": _kind("keda.sh/v1alpha1", "ScaledObject", _SCALED_OBJECT),
    "ScaledJob": _kind("keda.sh/v1alpha1", "ScaledJob", _SCALED_JOB),
    "Certificate": _kind("cert-manager.io/v1", "Certificate", _CERTIFICATE),
}
