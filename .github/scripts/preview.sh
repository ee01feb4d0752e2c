#!/usr/bin/env bash
# Previews the stack $STACK and leaves record.json, which preview-comment.yml posts.
#
# A stack of the team's backend is compared with its state, and only read. One that the backend does not have, and every
# stack where the run was given no backend (a fork's run gets no secret), starts from an empty state in this job's folder.
# With $POLICY_PACK, the folder of a policy pack, a stack that violates a mandatory policy fails.
set -uo pipefail

readonly file="stacks/Pulumi.$STACK.yaml"
readonly not_found=6 # Pulumi's exit status for a stack that is not there

comment() { .venv/bin/python .github/scripts/preview_comment.py "$@"; }

# Ends the job without a preview: that secrets were not given is no fault of the pull request.
leave_out() {
  echo "::notice::stack '$STACK' has no preview: $1"
  comment leave-out "$STACK" "$1" > record.json
  comment render record.json >> "$GITHUB_STEP_SUMMARY"
  exit 0
}

# Makes the stack in this job's folder. The file's salt opens with the team's passphrase alone, and is of no use where
# nothing is encrypted under it.
start_empty() {
  if ! grep -qE '(^|[[:space:]{])secure:' "$file"; then
    sed -i -E '/^(encryptionsalt|secretsprovider|encryptedkey):/d' "$file"
    export PULUMI_CONFIG_PASSPHRASE="${PULUMI_CONFIG_PASSPHRASE:-of a state that ends with this job}"
  elif grep -q '^secretsprovider:' "$file" || [ -z "${PULUMI_CONFIG_PASSPHRASE:-}" ]; then
    leave_out "$file has encrypted settings, and this run was not given what opens them (docs/teams.md, Pull requests)"
  fi
  mkdir -p .var/backend
  export PULUMI_BACKEND_URL="file://$PWD/.var/backend"
  pulumi stack init "$STACK" >&2
}

choose_stack() {
  if [ -z "${PULUMI_BACKEND_URL:-}" ]; then
    start_empty
    return
  fi
  local status=0
  pulumi stack select "$STACK" >&2 || status=$?
  if [ "$status" -eq "$not_found" ]; then
    start_empty
    return
  fi
  if [ -z "${PULUMI_CONFIG_PASSPHRASE:-}" ]; then
    unset PULUMI_CONFIG_PASSPHRASE # a missing secret is an empty text, which Pulumi would take for the passphrase
    if [[ "$status" -eq 0 && "$PULUMI_BACKEND_URL" != https://* ]] && ! grep -q '^secretsprovider:' "$file"; then
      leave_out "its state needs the stack's passphrase, and the repository has no secret PULUMI_CONFIG_PASSPHRASE (docs/teams.md, Pull requests)"
    fi
  fi
  return "$status"
}

# Pulumi leaves violations out of a preview's JSON, so the policies have a preview of their own, whose text tells them.
check_policies() {
  local configuration=()
  if [ -f "$POLICY_PACK/configuration.json" ]; then
    configuration=(--policy-pack-config "$POLICY_PACK/configuration.json")
  fi
  pulumi preview --stack "$STACK" --policy-pack "$POLICY_PACK" "${configuration[@]}" --suppress-outputs
}

failed=0
wrong=()
: > preview.json
{ choose_stack && pulumi preview --stack "$STACK" --json > preview.json; } || failed=$?
if [ "$failed" -eq 0 ] && [ -n "${POLICY_PACK:-}" ]; then
  check_policies || { failed=$? && wrong=(--error "The stack violates the policies; see the job's log."); }
fi
comment record "$STACK" preview.json "${wrong[@]}" > record.json
comment render record.json >> "$GITHUB_STEP_SUMMARY"
exit "$failed"
