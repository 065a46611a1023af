#!/usr/bin/env bash
# Captions images on Google Cloud Dataflow: builds the image and the template, submits jobs, schedules them, watches them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
  cat <<'END'
run_dataflow.sh COMMAND [settings] [-- the job's options]

  build      Build the container image with Cloud Build and push it
  template   Write the Flex Template's file, which launches that image
  run        Submit a job now, from this machine; with --from_template by the template
  schedule   Create or update a Cloud Scheduler job that launches the template
  status     List this job's runs, or say how JOB_ID does; with --wait until it has ended
  cancel     Cancel JOB_ID

Settings, as --name VALUE or as environment variable CAPTION_NAME in capitals:
  --project            Google Cloud project (default: gcloud's)
  --region             for everything (default: gcloud's compute/region)
  --bucket             gs://BUCKET for staged files, temporary files and the template
  --repository         Artifact Registry repository of the image (default: captioner)
  --variant            gpu or cpu (default: gpu)
  --image              image by name and tag (default: made of the above, the commit and the versions)
  --template_file      of the template in Cloud Storage (default: BUCKET/templates/caption-images-VARIANT.json)
  --job                name of the job or schedule (default: caption-images)
  --accelerator        TYPE[:N] for each worker (default: nvidia-tesla-t4 with the gpu variant)
  --machine_type       of the workers (default: goes with the accelerator)
  --max_workers        (default: 10)
  --service_account    that launcher and workers run as (default: the project's Compute Engine account)
  --subnetwork         for the workers, which then have no public addresses
  --labels             key=value,key=value on the job, for the bill
  --cron               schedule, such as "0 2 * * *"
  --time_zone          of the schedule (default: Etc/UTC)
  --scheduler_account  that launches the template (default: --service_account)
  --python             Python with Beam and this package, for `run` (default: .venv/bin/python, else python3)

  --dry_run            print the commands, each as it would be run, and do nothing
  --skip_preflight     do not look whether everything is there first

Exit status: 0 done, 1 failed, 2 refused before anything was done.
Example:
  export CAPTION_PROJECT=my-project CAPTION_REGION=europe-west4 CAPTION_BUCKET=gs://my-bucket
  ./run_dataflow.sh build && ./run_dataflow.sh template
  ./run_dataflow.sh run -- --images 'gs://my-bucket/photos/*.jpg' --output gs://my-bucket/captions
  ./run_dataflow.sh schedule --cron "0 2 * * *" --time_zone Europe/Zurich --scheduler_account nightly@my-project.iam.gserviceaccount.com \
      -- --uris gs://my-bucket/lists/photos.txt --output gs://my-bucket/captions
END
}

refuse() {
  echo "run_dataflow.sh: $*" >&2
  exit 2
}

warn() {
  echo "run_dataflow.sh: note: $*" >&2
}

# Prints a command, so that it can be copied, and runs it unless this is a dry run.
execute() {
  if [ -n "$dry_run" ]; then
    printf '%q ' "$@"
    echo
  else
    { printf '+ '; printf '%q ' "$@"; echo; } >&2
    "$@"
  fi
}

# ---- Settings ----

names=(project region bucket repository variant image template_file job accelerator machine_type max_workers
  service_account subnetwork labels cron time_zone scheduler_account python)
declare -A setting=()
for name in "${names[@]}"; do
  variable="CAPTION_${name^^}"
  setting[$name]="${!variable-}"
done
dry_run="" skip_preflight="" from_template="" wait_for_end="" job_id=""
job_options=()

command="${1-}"
case "$command" in
  build | template | run | schedule | status | cancel) shift ;;
  -h | --help | help) usage; exit 0 ;;
  "") usage >&2; exit 2 ;;
  *) refuse "$command: there is no such command; choose build, template, run, schedule, status or cancel." ;;
esac

while [ $# -gt 0 ]; do
  argument="$1"
  shift
  case "$argument" in
    --) job_options=("$@"); break ;;
    -h | --help) usage; exit 0 ;;
    --dry_run | --dry-run) dry_run=1 ;;
    --skip_preflight | --skip-preflight) skip_preflight=1 ;;
    --from_template | --from-template) from_template=1 ;;
    --wait) wait_for_end=1 ;;
    --*)
      name="${argument#--}"
      name="${name%%=*}"
      name="${name//-/_}"
      [[ " ${names[*]} " == *" $name "* ]] || refuse "$argument: there is no such setting; the job's own options go behind --. See --help."
      if [[ "$argument" == *=* ]]; then
        setting[$name]="${argument#*=}"
      else
        [ $# -gt 0 ] || refuse "$argument: its value is missing."
        setting[$name]="$1"
        shift
      fi
      ;;
    *)
      case "$command" in
        status | cancel) [ -z "$job_id" ] || refuse "$argument: one job at a time."; job_id="$argument" ;;
        *) refuse "$argument: settings begin with --; the job's own options go behind --." ;;
      esac
      ;;
  esac
done

case "$command" in
  run | schedule) [ ${#job_options[@]} -gt 0 ] || refuse "$command: the job's options are missing, such as -- --images 'gs://...' --output gs://..." ;;
  *) [ ${#job_options[@]} -eq 0 ] || refuse "$command: it takes no options of the job." ;;
esac

if [ -z "$dry_run" ] || [ -z "${setting[project]}" ] || [ -z "${setting[region]}" ]; then
  if command -v gcloud >/dev/null; then
    [ -n "${setting[project]}" ] || setting[project]="$(gcloud config get-value project 2>/dev/null || true)"
    [ -n "${setting[region]}" ] || setting[region]="$(gcloud config get-value compute/region 2>/dev/null || true)"
  elif [ -z "$dry_run" ]; then
    refuse "gcloud is not installed: https://cloud.google.com/sdk/docs/install"
  fi
fi
for name in project region; do
  [[ -n "${setting[$name]}" && "${setting[$name]}" != "(unset)" ]] || refuse "--$name is missing: give it, or set CAPTION_${name^^}."
done
[[ "${setting[region]}" =~ ^[a-z]+-[a-z]+[0-9]+$ ]] || refuse "--region ${setting[region]}: this is no region; one looks like europe-west4."

setting[variant]="${setting[variant]:-gpu}"
[[ "${setting[variant]}" =~ ^(gpu|cpu)$ ]] || refuse "--variant ${setting[variant]}: choose gpu or cpu."
[ "${setting[variant]}" = gpu ] && setting[accelerator]="${setting[accelerator]:-nvidia-tesla-t4}"
[ "${setting[variant]}" = gpu ] || [ -z "${setting[accelerator]}" ] || refuse "--accelerator ${setting[accelerator]}: the cpu image has no CUDA libraries; use --variant gpu."
setting[job]="${setting[job]:-caption-images}"
[[ "${setting[job]}" =~ ^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$ ]] || refuse "--job ${setting[job]}: use small letters, digits and hyphens, a letter first."
setting[max_workers]="${setting[max_workers]:-10}"
[[ "${setting[max_workers]}" =~ ^[1-9][0-9]*$ ]] || refuse "--max_workers ${setting[max_workers]}: choose 1 or more."

case "$command" in
  template | run | schedule)
    [[ "${setting[bucket]}" =~ ^gs://[a-z0-9][a-z0-9._-]+[a-z0-9](/.*)?$ ]] || refuse "--bucket '${setting[bucket]}': give gs://BUCKET for staged and temporary files, or set CAPTION_BUCKET."
    ;;
esac
bucket="${setting[bucket]%/}"
template_file="${setting[template_file]:-$bucket/templates/caption-images-${setting[variant]}.json}"

# What the image is made of, from the Dockerfile: the one place that says so.
image_version() {
  sed -n "s/^ARG $1=//p" Dockerfile
}
beam_version="$(image_version BEAM_VERSION)"
tensorflow_version="$(image_version TENSORFLOW_VERSION)"
python_version="$(image_version PYTHON_VERSION)"

# Launcher and workers run the same code: the tag names the commit, so that a job never meets an image of another one.
commit="$(git describe --always --dirty --abbrev=8 --exclude='*' 2>/dev/null || echo unversioned)"
tag="${commit:-unversioned}-beam$beam_version-tf$tensorflow_version-py$python_version-${setting[variant]}"
image="${setting[image]:-${setting[region]}-docker.pkg.dev/${setting[project]}/${setting[repository]:-captioner}/captioner:$tag}"

python="${setting[python]}"
if [ -z "$python" ]; then
  python=python3
  [ -x .venv/bin/python ] && python=.venv/bin/python
fi

# ---- Preflight: everything that would fail later, in a sentence, now ----

gcloud_says() {
  gcloud "$@" --project="${setting[project]}" 2>/dev/null
}

check_login() {
  command -v gcloud >/dev/null || refuse "gcloud is not installed: https://cloud.google.com/sdk/docs/install"
  [ -n "$(gcloud auth list --filter=status:ACTIVE '--format=value(account)' 2>/dev/null)" ] || refuse "nobody is logged in: run 'gcloud auth login'."
  gcloud projects describe "${setting[project]}" '--format=value(projectId)' >/dev/null 2>&1 || refuse "--project ${setting[project]}: it is not there, or this account may not see it."
}

check_services() {
  local enabled service
  enabled="$(gcloud_says services list --enabled '--format=value(config.name)')" || { warn "the enabled services could not be listed."; return; }
  for service in "$@"; do
    [[ "$enabled" == *"$service.googleapis.com"* ]] || refuse "$service.googleapis.com is off: run 'gcloud services enable $service.googleapis.com --project=${setting[project]}'."
  done
}

check_bucket() {
  local name="${bucket#gs://}" location
  name="${name%%/*}"
  location="$(gcloud_says storage buckets describe "gs://$name" '--format=value(location)')" || refuse "--bucket gs://$name: it is not there, or this account may not see it."
  location="${location,,}"
  case "$location" in
    "${setting[region]}" | us | eu | asia) ;;
    *) warn "gs://$name lies in $location and the job runs in ${setting[region]}: reading across regions costs money and time." ;;
  esac
}

check_image() {
  gcloud_says artifacts docker images describe "$image" '--format=value(image_summary.digest)' >/dev/null || refuse "the image $image is not there: run './run_dataflow.sh build' with the same settings first."
}

check_template() {
  gcloud_says storage objects describe "$template_file" '--format=value(name)' >/dev/null || refuse "the template $template_file is not there: run './run_dataflow.sh template' with the same settings first."
}

# A hint, as quotas are counted by Compute Engine at the time the workers start.
check_quota() {
  [ -n "${setting[accelerator]}" ] || return 0
  local type="${setting[accelerator]%%:*}" count="${setting[accelerator]#*:}" metric left wanted
  [[ "$count" =~ ^[0-9]+$ ]] || count=1
  metric="${type#nvidia-}"
  metric="${metric#tesla-}"
  metric="NVIDIA_${metric^^}_GPUS"
  metric="${metric//-/_}"
  wanted=$((count * setting[max_workers]))
  left="$(gcloud_says compute regions describe "${setting[region]}" --flatten=quotas '--format=csv[no-heading](quotas.metric,quotas.limit,quotas.usage)' |
    awk -F, -v metric="$metric" '$1 == metric { print int($2 - $3) }')" || true
  if [ -z "$left" ]; then
    warn "the quota $metric in ${setting[region]} could not be read."
  elif [ "$left" -eq 0 ]; then
    refuse "no $type is left in ${setting[region]}: ask for more of the quota $metric, or choose another --region or --accelerator."
  elif [ "$left" -lt "$wanted" ]; then
    warn "$left of the $wanted GPUs that --max_workers ${setting[max_workers]} may want are left in ${setting[region]} (quota $metric)."
  fi
  [ -n "$(gcloud_says compute accelerator-types list "--filter=name=$type AND zone~${setting[region]}-" '--format=value(zone)')" ] || refuse "--accelerator ${setting[accelerator]}: there is none in ${setting[region]}; 'gcloud compute accelerator-types list --filter=name=$type' says where."
}

# The launcher's versions against the image's: a worker of another version fails late, and with an obscure message.
check_versions() {
  local found wanted="beam$beam_version-tf$tensorflow_version-py$python_version"
  found="$("$python" -c '
import platform
from importlib.metadata import version
import beam_job
print("beam" + version("apache-beam") + "-tf" + version("tensorflow") + "-py" + platform.python_version().rsplit(".", 1)[0])')" ||
    refuse "--python $python: it lacks Beam or this package; run 'make caption' once, or install them with 'pip install .'."
  if [[ "$image" =~ beam[0-9.]+-tf[0-9.]+-py[0-9.]+ ]]; then
    wanted="${BASH_REMATCH[0]%.}"
  fi
  [ "$found" = "$wanted" ] || refuse "launcher and image differ: $python has $found, the image has $wanted. Install the image's versions, use --from_template, or change the Dockerfile and build again."
}

preflight() {
  [ -z "$skip_preflight" ] || return 0
  [ "$command" = run ] && [ -z "$from_template" ] && check_versions
  [ -z "$dry_run" ] || return 0
  check_login
  case "$command" in
    build)
      check_services cloudbuild artifactregistry
      local repository="${setting[repository]:-captioner}"
      [ -n "${setting[image]}" ] || gcloud_says artifacts repositories describe "$repository" --location="${setting[region]}" >/dev/null ||
        refuse "the repository $repository is not there: run 'gcloud artifacts repositories create $repository --repository-format=docker --location=${setting[region]} --project=${setting[project]}'."
      ;;
    template) check_services dataflow; check_bucket; check_image ;;
    run)
      check_services dataflow
      check_bucket
      if [ -n "$from_template" ]; then
        command -v curl >/dev/null || refuse "curl is not installed; --from_template launches by it."
        check_template
      else
        check_image
      fi
      check_quota
      ;;
    schedule) check_services dataflow cloudscheduler; check_bucket; check_template; check_quota ;;
  esac
}

# ---- Commands ----

build() {
  execute gcloud builds submit . --project="${setting[project]}" --region="${setting[region]}" --config=cloudbuild.yaml \
    --substitutions="_IMAGE=$image,_VARIANT=${setting[variant]}"
}

template() {
  execute gcloud dataflow flex-template build "$template_file" --project="${setting[project]}" --image="$image" \
    --sdk-language=PYTHON --metadata-file=flex_template/metadata.json
}

run_from_here() {
  local arguments=(--runner=DataflowRunner "--project=${setting[project]}" "--region=${setting[region]}"
    "--temp_location=$bucket/temp" "--staging_location=$bucket/staging" "--sdk_container_image=$image"
    "--job_name=${setting[job]}-$(date -u +%Y%m%d-%H%M%S)" "--max_num_workers=${setting[max_workers]}") label
  [ -z "${setting[accelerator]}" ] || arguments+=("--accelerator=${setting[accelerator]}")
  [ -z "${setting[machine_type]}" ] || arguments+=("--worker_machine_type=${setting[machine_type]}")
  [ -z "${setting[service_account]}" ] || arguments+=("--service_account_email=${setting[service_account]}")
  [ -z "${setting[subnetwork]}" ] || arguments+=("--subnetwork=${setting[subnetwork]}" --no_use_public_ips)
  for label in ${setting[labels]//,/ }; do
    arguments+=("--labels=$label")
  done
  execute "$python" -m beam_job "${arguments[@]}" "${job_options[@]}"
}

# The request that launches the template; it is the same for now and for every night.
launch_request() {
  local environment=("tempLocation=$bucket/temp" "stagingLocation=$bucket/staging" "maxWorkers=${setting[max_workers]}") label labels=""
  [ -z "${setting[machine_type]}" ] || environment+=("machineType=${setting[machine_type]}")
  [ -z "${setting[service_account]}" ] || environment+=("serviceAccountEmail=${setting[service_account]}")
  [ -z "${setting[subnetwork]}" ] || environment+=("subnetwork=${setting[subnetwork]}" ipConfiguration=WORKER_IP_PRIVATE)
  for label in ${setting[labels]//,/ }; do
    labels+="${labels:+,}\"${label%%=*}\":\"${label#*=}\""
  done
  [ -z "$labels" ] || environment+=("additionalUserLabels={$labels}")
  local options=("${job_options[@]}")
  [ -z "${setting[accelerator]}" ] || options=("--accelerator=${setting[accelerator]}" "${options[@]}")
  python3 flex_template/request.py --job "$1" --template "$template_file" "${environment[@]/#/--set=}" -- "${options[@]}"
}

run_from_template() {
  local request
  request="$(launch_request "${setting[job]}")" || refuse "the job's options do not fit the template (above)."
  local url="https://dataflow.googleapis.com/v1b3/projects/${setting[project]}/locations/${setting[region]}/flexTemplates:launch"
  if [ -n "$dry_run" ]; then
    execute curl --fail-with-body --silent --show-error --request POST --header "Authorization: Bearer TOKEN" --header "Content-Type: application/json" --data "$request" "$url"
    return
  fi
  # The token goes in by a file descriptor: a command line can be read by every process of the machine.
  execute curl --config <(printf 'header = "Authorization: Bearer %s"\n' "$(gcloud auth print-access-token)") \
    --fail-with-body --silent --show-error --request POST --header "Content-Type: application/json" --data "$request" "$url"
}

schedule() {
  [ -n "${setting[cron]}" ] || refuse "--cron is missing: give a schedule such as \"0 2 * * *\"."
  [[ "${setting[cron]}" =~ ^([^\ ]+\ ){4}[^\ ]+$ ]] || refuse "--cron '${setting[cron]}': give five fields, minute hour day month weekday, such as \"0 2 * * *\"."
  local account="${setting[scheduler_account]:-${setting[service_account]}}"
  [[ "$account" == *@* ]] || refuse "--scheduler_account is missing: name the service account that may launch Dataflow jobs, such as nightly@${setting[project]}.iam.gserviceaccount.com."
  local request verb=create headers=--headers
  request="$(launch_request "${setting[job]}")" || refuse "the job's options do not fit the template (above)."
  if [ -z "$dry_run" ] && gcloud_says scheduler jobs describe "${setting[job]}" --location="${setting[region]}" >/dev/null; then
    verb=update headers=--update-headers
  fi
  execute gcloud scheduler jobs "$verb" http "${setting[job]}" --project="${setting[project]}" --location="${setting[region]}" \
    --schedule="${setting[cron]}" --time-zone="${setting[time_zone]:-Etc/UTC}" --http-method=POST \
    --uri="https://dataflow.googleapis.com/v1b3/projects/${setting[project]}/locations/${setting[region]}/flexTemplates:launch" \
    "$headers=Content-Type=application/json" --message-body="$request" \
    --oauth-service-account-email="$account" --oauth-token-scope=https://www.googleapis.com/auth/cloud-platform \
    --attempt-deadline=180s
}

status() {
  if [ -z "$job_id" ]; then
    [ -z "$wait_for_end" ] || refuse "status --wait: name the JOB_ID to wait for."
    execute gcloud dataflow jobs list --project="${setting[project]}" --region="${setting[region]}" "--filter=name:${setting[job]}" \
      '--format=table(id,name,state,creationTime)' --limit=20
    return
  fi
  local state
  while true; do
    if [ -n "$dry_run" ]; then
      execute gcloud dataflow jobs describe "$job_id" --project="${setting[project]}" --region="${setting[region]}" '--format=value(currentState)'
      return
    fi
    state="$(gcloud dataflow jobs describe "$job_id" --project="${setting[project]}" --region="${setting[region]}" '--format=value(currentState)')" || refuse "$job_id: there is no such job in ${setting[region]}."
    case "$state" in
      JOB_STATE_DONE) echo "$state"; return 0 ;;
      JOB_STATE_FAILED | JOB_STATE_CANCELLED | JOB_STATE_UPDATED | JOB_STATE_DRAINED)
        echo "$state"
        echo "See https://console.cloud.google.com/dataflow/jobs/${setting[region]}/$job_id?project=${setting[project]}" >&2
        return 1
        ;;
    esac
    [ -n "$wait_for_end" ] || { echo "$state"; return 0; }
    sleep "${CAPTION_POLL_SECONDS:-30}"
  done
}

cancel() {
  [ -n "$job_id" ] || refuse "cancel: name the JOB_ID; './run_dataflow.sh status' lists them."
  execute gcloud dataflow jobs cancel "$job_id" --project="${setting[project]}" --region="${setting[region]}"
}

preflight
case "$command" in
  run) if [ -n "$from_template" ]; then run_from_template; else run_from_here; fi ;;
  *) "$command" ;;
esac
