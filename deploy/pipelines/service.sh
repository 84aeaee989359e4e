#!/bin/sh
# The steps of every service's pipeline, for any build system:
#
#   service.sh test SERVICE      runs its tests
#   service.sh build SERVICE     builds its image
#   service.sh push SERVICE      pushes the image
#   service.sh deploy SERVICE    deploys the image, and rolls back if it does not become ready
#   service.sh record SERVICE    commits the image to deploy/kubernetes/images, so that `kubectl apply -k` keeps it
#
# REGISTRY   image registry, without a trailing slash
# TAG        image tag, for instance the commit
# NAMESPACE  Kubernetes namespace (default: anticorona)
# BRANCH     branch of `origin` that `record` commits to (default: main)
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

# A process is ready within a second. In a full cluster up to ten are replaced in five rounds, each of which
# waits for the room of the old ones: they have 60 s to end.
ROLLOUT_TIMEOUT=360s

# How often `record` tries again when the pipeline of another service has pushed first.
RECORD_ATTEMPTS=5

branch=${BRANCH:-main}
namespace=${NAMESPACE:-anticorona}

image() {
    echo "${REGISTRY:?is not set: the image registry}/$service:${TAG:?is not set: the image tag}"
}

roll_out() {
    kubectl --namespace "$namespace" rollout status "deployment/$service" --timeout "$ROLLOUT_TIMEOUT"
}

# Pushes the head of the branch with the image in the list. Nothing happens if it is there already.
push_image() {
    git -C "$checkout" fetch --quiet origin "$branch" || return
    git -C "$checkout" reset --quiet --hard FETCH_HEAD || return
    line="{name: anticorona/$service, newName: ${image%:*}, newTag: \"$TAG\"}"
    sed -i "s|{name: anticorona/$service,.*}|$line|" "$checkout/deploy/kubernetes/images/kustomization.yaml" || return
    git -C "$checkout" diff --quiet && return
    git -C "$checkout" -c user.name=service.sh -c user.email=service.sh@localhost \
        commit --quiet --all --message "deploy: $service is $image" || return
    git -C "$checkout" push --quiet origin "HEAD:$branch"
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
    record)
        image=$(image)
        git fetch --quiet origin "$branch"
        # A checkout of its own: this one may be of another commit, or changed.
        checkout=$(mktemp -d)
        trap 'git worktree remove --force "$checkout"' EXIT
        git worktree add --quiet --detach "$checkout" FETCH_HEAD
        attempt=1
        until push_image; do
            if [ "$attempt" -ge "$RECORD_ATTEMPTS" ]; then
                echo "service.sh: $image is deployed but not recorded: \`kubectl apply -k\` would undo it" >&2
                exit 1
            fi
            attempt=$((attempt + 1))
        done
        ;;
    *)
        echo "service.sh: unknown step '$step', expected test, build, push, deploy or record" >&2
        exit 64
        ;;
esac
