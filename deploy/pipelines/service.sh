#!/bin/sh
# The steps of every service's pipeline, for any build system:
#
#   service.sh test SERVICE      runs its tests
#   service.sh build SERVICE     builds its image
#   service.sh push SERVICE      pushes the image
#   service.sh deploy SERVICE    deploys the image, and rolls back if it does not become ready
#
# REGISTRY   image registry, without a trailing slash
# TAG        image tag, for instance the commit
# NAMESPACE  Kubernetes namespace (default: anticorona)
# REGISTRY_USER, REGISTRY_PASSWORD   if the registry requires a login
set -eu
cd "$(dirname "$0")/../.."

step=${1:-}
service=${2:-}
# The image has one target per service.
services=$(sed -n 's/^FROM program AS //p' deploy/image/Dockerfile)
if ! echo "$services" | grep -qxF -e "$service"; then
    echo "service.sh: unknown service '$service', expected one of:" $services >&2
    exit 64
fi

# A process is ready within a second, five are replaced one by one, each old one has 30 s to end.
ROLLOUT_TIMEOUT=180s

namespace=${NAMESPACE:-anticorona}

image() {
    echo "${REGISTRY:?is not set: the image registry}/$service:${TAG:?is not set: the image tag}"
}

roll_out() {
    kubectl --namespace "$namespace" rollout status "deployment/$service" --timeout "$ROLLOUT_TIMEOUT"
}

case $step in
    test)
        cargo xtask test -- -p "$service"
        ;;
    build)
        docker build --file deploy/image/Dockerfile --build-arg "SERVICE=$service" --tag "$(image)" .
        ;;
    push)
        image=$(image)
        if [ -n "${REGISTRY_PASSWORD:-}" ]; then
            echo "$REGISTRY_PASSWORD" |
                docker login --username "${REGISTRY_USER:?is not set}" --password-stdin "${REGISTRY%%/*}"
        fi
        docker push "$image"
        ;;
    deploy)
        image=$(image)
        kubectl --namespace "$namespace" set image "deployment/$service" "anticorona=$image"
        if ! roll_out; then
            echo "service.sh: $image did not become ready, rolling back" >&2
            kubectl --namespace "$namespace" get pods --selector "app.kubernetes.io/name=$service" >&2 || true
            kubectl --namespace "$namespace" logs --selector "app.kubernetes.io/name=$service" --tail 20 >&2 || true
            kubectl --namespace "$namespace" rollout undo "deployment/$service"
            roll_out
            exit 1
        fi
        ;;
    *)
        echo "service.sh: unknown step '$step', expected test, build, push or deploy" >&2
        exit 64
        ;;
esac
