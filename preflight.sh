# shellcheck shell=sh
# shellcheck disable=SC2154 # the settings are those of run_dataflow.sh, which reads this file
# Everything that would fail later, in a sentence, before anything is done.

# gcloud_says WORD...: prints gcloud's answer. Without one, gcloud's own error goes to standard error, and the status is
# 1 if what was asked about does not exist or may not be seen, 2 if gcloud could not find out: no network, no login.
# gcloud also says "not found" of what nobody asked about, such as a certificate, so these are its very forms.
gcloud_says() {
  { why="$(gcloud "$@" --project="$project" 2>&1 >&3 3>&-)"; } 3>&1 && return
  printf '%s\n' "$why" >&2
  case "$why" in
    *"auth tokens"* | *[Rr]eauthenticat*) return 2 ;; # some of these say "or it may not exist", too
    *"(gcloud."*") NOT_FOUND"* | *"(gcloud."*") HTTPError 404"*) return 1 ;;
  esac
  [ "$1" != dataflow ] || return 2 # a job: these two alone say that it does not exist, and end a wait for it
  case "$why" in
    *"(or it may not exist)"* | *" instance ["*"] not found"* | *"gs://"*" not found: 404."* | *") Image not found."*) return 1 ;;
  esac
  return 2
}

# refuse_unseen STATUS WHAT [REMEDY]: refuses what gcloud_says has not found.
refuse_unseen() {
  [ "$1" -ne 1 ] || refuse "$2: it does not exist, or this account may not see it${3-}."
  refuse "$2: gcloud could not look it up, for the reason above."
}

check_login() {
  command -v gcloud >/dev/null || refuse "gcloud is not installed: https://cloud.google.com/sdk/docs/install"
  who="$(gcloud_says auth list --filter=status:ACTIVE '--format=value(account)')" || refuse_unseen 2 "the account that is logged in"
  [ -n "$who" ] || refuse "nobody is logged in: run 'gcloud auth login'."
  gcloud_says projects describe "$project" '--format=value(projectId)' >/dev/null || refuse_unseen $? "--project $project"
}

check_services() {
  enabled="$(gcloud_says services list --enabled '--format=value(config.name)')" || { warn "the enabled services could not be listed."; return; }
  for service in "$@"; do
    case "$enabled" in
      *"$service.googleapis.com"*) ;;
      *) refuse "$service.googleapis.com is off: run 'gcloud services enable $service.googleapis.com --project=$project'." ;;
    esac
  done
}

check_bucket() {
  name="${bucket#gs://}"
  name="${name%%/*}"
  location="$(gcloud_says storage buckets describe "gs://$name" '--format=value(location)')" || refuse_unseen $? "--bucket gs://$name"
  location="$(printf '%s' "$location" | tr '[:upper:]' '[:lower:]')"
  case "$location" in
    "$region" | us | eu | asia) ;;
    *) warn "gs://$name lies in $location and the job runs in $region: reading across regions costs money and time." ;;
  esac
}

check_image() {
  gcloud_says artifacts docker images describe "$image" '--format=value(image_summary.digest)' >/dev/null || refuse_unseen $? "the image $image" "; run './run_dataflow.sh build' with the same settings first"
}

check_template() {
  gcloud_says storage objects describe "$template_file" '--format=value(name)' >/dev/null || refuse_unseen $? "the template $template_file" "; run './run_dataflow.sh template' with the same settings first"
}

# check_quota OPTION...: a hint, as quotas are counted by Compute Engine at the time the workers start.
check_quota() {
  [ -n "$accelerator" ] || return 0
  type="${accelerator%%:*}"
  count="${accelerator#"$type"}"
  count="${count#:}"
  wanted=$((${count:-1} * max_workers))
  metric="${type#nvidia-}"
  metric="${metric#tesla-}"
  [ "$metric" != h100-80gb ] || metric=h100 # the one quota whose name says no memory
  metric="NVIDIA_$(printf '%s' "$metric" | tr '[:lower:]' '[:upper:]' | tr - _)_GPUS"
  for option in "$@"; do
    case "$option" in --flex_start | --flex_start=true) metric="PREEMPTIBLE_$metric" ;; esac
  done
  left="$(gcloud_says compute regions describe "$region" --flatten=quotas '--format=csv[no-heading](quotas.metric,quotas.limit,quotas.usage)' |
    awk -F, -v metric="$metric" '$1 == metric { print int($2 - $3) }')" || true
  if [ -z "$left" ]; then
    warn "the quota $metric in $region could not be read."
  elif [ "$left" -le 0 ]; then
    refuse "no $type is left in $region: request more of the quota $metric, or choose another --region or --accelerator."
  elif [ "$left" -lt "$wanted" ]; then
    warn "$left of the $wanted GPUs that --max_workers $max_workers may need are left in $region (quota $metric)."
  fi
  zones="$(gcloud_says compute accelerator-types list "--filter=name=$type AND zone~$region-" '--format=value(zone)')" || refuse_unseen $? "--accelerator $accelerator"
  [ -n "$zones" ] || refuse "--accelerator $accelerator: there is none in $region; 'gcloud compute accelerator-types list --filter=name=$type' says where."
}

# The launcher's versions against the image's: a worker of another version fails late, and with an obscure message.
check_versions() {
  found="$("$python" -c '
import platform
from importlib.metadata import version
import beam_job
print("beam" + version("apache-beam") + "-tf" + version("tensorflow") + "-py" + platform.python_version().rsplit(".", 1)[0])')" ||
    refuse "--python $python: it lacks Beam or this package; run 'make caption' once, or give one that has them."
  wanted="$(printf '%s\n' "$image" | sed -n 's/.*\(beam[0-9.]*-tf[0-9.]*-py[0-9]*\.[0-9]*\).*/\1/p')"
  wanted="${wanted:-$versions}"
  [ "$found" = "$wanted" ] || refuse "launcher and image differ: $python has $found, the image has $wanted. Install the image's versions, use --from_template, or change the Dockerfile and build again."
}

# check_options OPTION...: the job checks its own options. It asks no cloud for that.
check_options() {
  if "$python" -c 'import sys, importlib.util as found; sys.exit(not (found.find_spec("apache_beam") and found.find_spec("beam_job")))' >/dev/null 2>&1; then
    with_job command "$@" --check || exit 2
  else
    warn "$python lacks Beam or this package, so the job's options were not checked."
  fi
}

# preflight OPTION...: all of that, as far as the command needs it; a dry run looks at this machine alone.
preflight() {
  [ -z "$skip_preflight" ] || return 0
  case "$command" in
    run)
      [ -n "$from_template" ] || check_versions
      [ -z "$from_template$dry_run" ] || check_options "$@" # or else the job does it itself
      ;;
    schedule) check_options "$@" ;;
  esac
  [ -z "$dry_run" ] || return 0
  check_login
  case "$command" in
    build)
      check_services cloudbuild artifactregistry
      [ -n "$image_given" ] || gcloud_says artifacts repositories describe "$repository" --location="$region" >/dev/null ||
        refuse_unseen $? "the repository $repository" "; run 'gcloud artifacts repositories create $repository --repository-format=docker --location=$region --project=$project'"
      ;;
    template) check_services dataflow; check_bucket; check_image ;;
    run)
      check_services dataflow
      check_bucket
      if [ -n "$from_template" ]; then
        command -v curl >/dev/null || refuse "curl is not installed; --from_template needs it."
        check_template
      else
        check_image
      fi
      check_quota "$@"
      ;;
    schedule) check_services dataflow cloudscheduler; check_bucket; check_template; check_quota "$@" ;;
  esac
}
