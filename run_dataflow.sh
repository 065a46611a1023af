#!/bin/sh
# Captions images on Google Cloud Dataflow: builds the image and the template, submits jobs, schedules them, watches them.
# In the shell language of POSIX alone: macOS has a bash of 2007, and Debian's dash and BusyBox run it as well.
set -euf # no word in here is a glob
CDPATH='' cd -- "$(dirname -- "$0")"

usage() {
  cat <<'END'
run_dataflow.sh COMMAND [settings] [-- options of the job]

  build      Build the container image with Cloud Build and push it
  template   Write the Flex Template's file, which launches that image
  run        Submit a job now, from this machine, or with --from_template through the template
  schedule   Create or update a Cloud Scheduler job that launches the template
  status     List jobs (with --job, only those of that name), or show the state of JOB_ID; --wait waits for its end
  cancel     Cancel JOB_ID

Settings, as --name VALUE or as an environment variable such as CAPTION_PROJECT:
  --project            Google Cloud project (default: gcloud's)
  --region             region of all resources (default: gcloud's compute/region)
  --bucket             gs://BUCKET for staged files, temporary files and the template
  --repository         Artifact Registry repository of the image (default: captioner)
  --variant            gpu or cpu (default: gpu)
  --image              name and tag of the image (default: from the settings above, the commit and the versions)
  --template_file      template in Cloud Storage (default: BUCKET/templates/caption-images-VARIANT.json)
  --job                name of the job or schedule (default: caption-images; for status: all jobs)
  --accelerator        GPUs of each worker, TYPE[:N] (default: nvidia-tesla-t4 with the gpu variant)
  --machine_type       machine type of the workers (default: one with that number of GPUs)
  --max_workers        maximum number of workers (default: 10)
  --service_account    account of launcher and workers (default: the project's Compute Engine account)
  --subnetwork         subnetwork of the workers, which then have no public addresses
  --labels             labels of the job for billing, key=value,key=value
  --cron               schedule, such as "0 2 * * *"
  --time_zone          time zone of the schedule (default: Etc/UTC)
  --scheduler_account  account that launches the template (default: --service_account)
  --python             Python with Beam and this package (default: .venv/bin/python, else python3)

  --dry_run            check the settings and the job's options, and only print the commands
  --skip_preflight     skip the checks of the project

Exit status: 0 done, 1 failed, 2 refused before any work.
Example:
  export CAPTION_PROJECT=my-project CAPTION_REGION=europe-west4 CAPTION_BUCKET=gs://my-bucket
  ./run_dataflow.sh build && ./run_dataflow.sh template
  ./run_dataflow.sh run -- --images 'gs://my-bucket/photos/*.jpg' --output gs://my-bucket/captions
  ./run_dataflow.sh schedule --cron "0 2 * * *" --time_zone Europe/Zurich --scheduler_account nightly@my-project.iam.gserviceaccount.com \
      -- --uris gs://my-bucket/lists/photos.txt --output gs://my-bucket/captions
END
}

refuse() {
  printf 'run_dataflow.sh: %s\n' "$(printable "$*")" >&2
  exit 2
}

warn() {
  printf 'run_dataflow.sh: note: %s\n' "$(printable "$*")" >&2
}

printable() {
  printf '%s' "$1" | LC_ALL=C tr '[:cntrl:]' '?'
}

# Whether all of a line is as an extended regular expression says.
matches() {
  printf '%s\n' "$1" | LC_ALL=C grep -Eqx -e "$2"
}

# Prints a command, so that it can be copied, and runs it unless this is a dry run.
execute() {
  if [ -n "$dry_run" ]; then
    show "$@"
  else
    { printf '+ '; show "$@"; } >&2
    "$@"
  fi
}

show() {
  for word in "$@"; do
    case "$word" in
      '' | *[!A-Za-z0-9_@%+=:,./-]*)
        word=$(printf '%s.' "$word" | LC_ALL=C sed "s/'/'\\\\''/g") # the full stop keeps a line end before it
        printf "'%s' " "${word%.}"
        ;;
      *) printf '%s ' "$word" ;;
    esac
  done
  echo
}

# ---- Settings ----

project="${CAPTION_PROJECT-}" region="${CAPTION_REGION-}" bucket="${CAPTION_BUCKET-}"
repository="${CAPTION_REPOSITORY-}" variant="${CAPTION_VARIANT-}" image="${CAPTION_IMAGE-}"
template_file="${CAPTION_TEMPLATE_FILE-}" job="${CAPTION_JOB-}" accelerator="${CAPTION_ACCELERATOR-}"
machine_type="${CAPTION_MACHINE_TYPE-}" max_workers="${CAPTION_MAX_WORKERS-}"
service_account="${CAPTION_SERVICE_ACCOUNT-}" subnetwork="${CAPTION_SUBNETWORK-}" labels="${CAPTION_LABELS-}"
cron="${CAPTION_CRON-}" time_zone="${CAPTION_TIME_ZONE-}" scheduler_account="${CAPTION_SCHEDULER_ACCOUNT-}"
python="${CAPTION_PYTHON-}"
dry_run="" skip_preflight="" from_template="" wait_for_end="" job_id="" job_options=""

command="${1-}"
case "$command" in
  build | template | run | schedule | status | cancel) shift ;;
  -h | --help | help) usage; exit 0 ;;
  '') usage >&2; exit 2 ;;
  *) refuse "$command: there is no such command; choose build, template, run, schedule, status or cancel." ;;
esac

while [ $# -gt 0 ]; do
  argument="$1"
  shift
  case "$argument" in
    --) job_options="$#"; break ;; # they are "$@" from here on
    -h | --help) usage; exit 0 ;;
    --dry_run | --dry-run) dry_run=1 ;;
    --skip_preflight | --skip-preflight) skip_preflight=1 ;;
    --from_template | --from-template) from_template=1 ;;
    --wait) wait_for_end=1 ;;
    -*)
      name="$(printf '%s' "${argument%%=*}" | tr '-' '_')"
      case "$name" in
        __project | __region | __bucket | __repository | __variant | __image | __template_file | __job | __accelerator | \
          __machine_type | __max_workers | __service_account | __subnetwork | __labels | __cron | __time_zone | \
          __scheduler_account | __python) ;;
        *) refuse "$argument: there is no such setting; put the job's options after --. See --help." ;;
      esac
      case "$argument" in
        *=*) value="${argument#*=}" ;;
        *)
          [ $# -gt 0 ] || refuse "$argument: its value is missing."
          value="$1"
          shift
          ;;
      esac
      eval "${name#__}=\$value"
      ;;
    *)
      case "$command" in
        status | cancel) [ -z "$job_id" ] || refuse "$argument: one job at a time."; job_id="$argument" ;;
        *) refuse "$argument: settings begin with --; put the job's options after --." ;;
      esac
      ;;
  esac
done

# Options that would undo a setting.
for option in "$@"; do
  case "$option" in
    --runner | --runner=*) refuse "$option: this script submits to Dataflow; for another runner use 'python -m beam_job'." ;;
    --accelerator | --accelerator=*) [ "$variant" != cpu ] || refuse "$option: the cpu image has no CUDA libraries; use --variant gpu." ;;
  esac
done
case "$command" in
  run | schedule) [ "${job_options:-0}" -gt 0 ] || refuse "$command: the job's options are missing, such as -- --images 'gs://...' --output gs://..." ;;
  *) [ "${job_options:-0}" -eq 0 ] || refuse "$command: it takes no options of the job." ;;
esac

if [ -z "$dry_run" ] || [ -z "$project" ] || [ -z "$region" ]; then
  if command -v gcloud >/dev/null; then
    [ -n "$project" ] || project="$(gcloud config get-value project 2>/dev/null || true)"
    [ -n "$region" ] || region="$(gcloud config get-value compute/region 2>/dev/null || true)"
  elif [ -z "$dry_run" ]; then
    refuse "gcloud is not installed: https://cloud.google.com/sdk/docs/install"
  fi
fi
case "$project" in '' | '(unset)') refuse "--project is missing: give it, or set CAPTION_PROJECT." ;; esac
case "$region" in '' | '(unset)') refuse "--region is missing: give it, or set CAPTION_REGION." ;; esac
variant="${variant:-gpu}"
max_workers="${max_workers:-10}"

# A setting that is given must look like one: nothing else gets into a command.
check() {
  eval "value=\$$1"
  case "$value" in *[[:cntrl:]]*) refuse "--$1 $value: it contains a control character." ;; esac
  [ -z "$value" ] || matches "$value" "$2" || refuse "--$1 $value: $3"
}

# The values that Cloud Scheduler documents: numbers, names, ranges, steps of a range, and lists of these.
check_cron() {
  month='JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC' weekday='SUN|MON|TUE|WED|THU|FRI|SAT'
  set -- minute 0-59 '[0-5]?[0-9]' hour 0-23 '[01]?[0-9]|2[0-3]' "day of the month" 1-31 '0?[1-9]|[12][0-9]|3[01]' \
    month "1-12 or JAN-DEC" "0?[1-9]|1[0-2]|$month" weekday "0-7 or SUN-SAT" "[0-7]|$weekday"
  for field in $cron; do
    item="(\*|($3)-($3))(/[1-9][0-9]?)?|$3"
    matches "$field" "($item)(,($item))*" || refuse "--cron $cron: $field is no $1; choose from $2, such as *, 1, 1-5, */2 or 1,3."
    for item in $(printf '%s' "$field" | tr , ' '); do
      item="${item%/*}"
      case "$item" in
        *[A-Z]*) ;;
        *-*) [ "${item%-*}" -le "${item#*-}" ] || refuse "--cron $cron: $item is no range of the $1; put the lower end first." ;;
      esac
    done
    shift 3
  done
}
account='[A-Za-z0-9][A-Za-z0-9._-]*@[A-Za-z0-9.-]+'
check project '[a-z][a-z0-9.:-]*' "this is not a project id, such as my-project."
check region '[a-z]+-[a-z]+[0-9]+' "this is not a region, such as europe-west4."
check bucket 'gs://[a-z0-9][a-z0-9._-]+[a-z0-9](/[^ ]*)?' "give gs://BUCKET for staged and temporary files."
check repository '[a-z][a-z0-9-]*' "use lower-case letters, digits and hyphens, starting with a letter."
check variant 'gpu|cpu' "choose gpu or cpu."
check image '[A-Za-z0-9][A-Za-z0-9._/:@-]*' "this is not the name of an image."
check template_file 'gs://[a-z0-9][^ ]+' "give a file's gs:// address."
check job '[a-z]([a-z0-9-]{0,61}[a-z0-9])?' "use lower-case letters, digits and hyphens, starting with a letter."
check accelerator '[a-z][a-z0-9-]*(:[0-9]+)?' "write TYPE or TYPE:N, such as nvidia-l4 or nvidia-tesla-t4:2."
check machine_type '[a-z][a-z0-9-]*' "this is not a machine type, such as g2-standard-8."
check max_workers '[1-9][0-9]{0,4}' "choose 1 or more."
check service_account "$account" "this is not a service account, such as captioner@my-project.iam.gserviceaccount.com."
check subnetwork '[A-Za-z][A-Za-z0-9._/:-]*' "this is not a subnetwork, such as regions/europe-west4/subnetworks/default."
label='[a-z][a-z0-9_-]{0,62}=[a-z0-9_-]{0,63}'
check labels "$label(,$label)*" "write key=value,key=value in lower-case letters, digits, hyphens and underscores."
check cron '[^ ]+( [^ ]+){4}' "give five fields, minute hour day month weekday, such as \"0 2 * * *\"."
check_cron
check time_zone '[A-Za-z][A-Za-z0-9_/+-]*' "this is not a time zone, such as Europe/Zurich."
check scheduler_account "$account" "this is not a service account, such as nightly@my-project.iam.gserviceaccount.com."
check python '[^-].*' "this is not the name of a program."
check job_id '[0-9][A-Za-z0-9_:-]*' "this is not a job id, such as 2026-03-14_02_00_00-1234567890; 'status --job NAME' lists the jobs of that name."

if [ "$variant" = gpu ]; then
  accelerator="${accelerator:-nvidia-tesla-t4}"
elif [ -n "$accelerator" ]; then
  refuse "--accelerator $accelerator: the cpu image has no CUDA libraries; use --variant gpu."
fi
runs_of_job="$job"
job="${job:-caption-images}"
case "$command" in
  template | run | schedule) [ -n "$bucket" ] || refuse "--bucket is missing: give gs://BUCKET for staged and temporary files, or set CAPTION_BUCKET." ;;
esac
bucket="${bucket%/}"
template_file="${template_file:-$bucket/templates/caption-images-$variant.json}"

# What the image is made of, from the Dockerfile: the one place that says so.
image_version() {
  sed -n "s/^ARG $1=//p" Dockerfile
}
versions="beam$(image_version BEAM_VERSION)-tf$(image_version TENSORFLOW_VERSION)-py$(image_version PYTHON_VERSION)"

# Launcher and workers run the same code: the tag names the commit, so that a job never meets an image of another one.
commit="$(git describe --always --dirty --abbrev=8 --exclude='*' 2>/dev/null || echo unversioned)"
repository="${repository:-captioner}"
own_image="$region-docker.pkg.dev/$project/$repository/captioner:${commit:-unversioned}-$versions-$variant"
image_given="$image"
image="${image:-$own_image}"

if [ -z "$python" ]; then
  python=python3
  if [ -x .venv/bin/python ]; then python=.venv/bin/python; fi
fi

# ---- Commands ----

build() {
  execute gcloud builds submit . --project="$project" --region="$region" --config=cloudbuild.yaml \
    --substitutions="_IMAGE=$image,_VARIANT=$variant"
}

template() {
  execute gcloud dataflow flex-template build "$template_file" --project="$project" --image="$image" \
    --sdk-language=PYTHON --metadata-file=flex_template/metadata.json
}

# with_job COMMAND OPTION...: runs COMMAND with the job's command line: what the settings say, then its own options.
with_job() {
  how="$1"
  shift
  if [ -n "$labels" ]; then
    old_ifs="$IFS"
    IFS=,
    for label in $labels; do set -- "--labels=$label" "$@"; done
    IFS="$old_ifs"
  fi
  [ -z "$subnetwork" ] || set -- "--subnetwork=$subnetwork" --no_use_public_ips "$@"
  [ -z "$service_account" ] || set -- "--service_account_email=$service_account" "$@"
  [ -z "$machine_type" ] || set -- "--worker_machine_type=$machine_type" "$@"
  [ -z "$accelerator" ] || set -- "--accelerator=$accelerator" "$@"
  "$how" "$python" -m beam_job --runner=DataflowRunner "--project=$project" "--region=$region" \
    "--temp_location=$bucket/temp" "--staging_location=$bucket/staging" "--sdk_container_image=$image" \
    "--job_name=$job-$(date -u +%Y%m%d-%H%M%S)" "--max_num_workers=$max_workers" "$@"
}

# launch_request OPTION...: the request that launches the template; it is the same for now and for every night.
launch_request() {
  [ -z "$accelerator" ] || set -- "--accelerator=$accelerator" "$@"
  set -- -- "$@"
  [ -z "$labels" ] || set -- "--set=additionalUserLabels={\"$(printf '%s' "$labels" | sed 's/=/":"/g; s/,/","/g')\"}" "$@"
  [ -z "$subnetwork" ] || set -- "--set=subnetwork=$subnetwork" --set=ipConfiguration=WORKER_IP_PRIVATE "$@"
  [ -z "$service_account" ] || set -- "--set=serviceAccountEmail=$service_account" "$@"
  [ -z "$machine_type" ] || set -- "--set=machineType=$machine_type" "$@"
  python3 flex_template/request.py --job "$job" --template "$template_file" "--set=tempLocation=$bucket/temp" \
    "--set=stagingLocation=$bucket/staging" "--set=maxWorkers=$max_workers" "$@" || refuse "the job's options do not fit the template (above)."
}

launch_url="https://dataflow.googleapis.com/v1b3/projects/$project/locations/$region/flexTemplates:launch"

run_from_template() {
  request="$(launch_request "$@")" || exit 2
  set -- --fail-with-body --silent --show-error --request POST --header "Content-Type: application/json" --data "$request" "$launch_url"
  if [ -n "$dry_run" ]; then
    execute curl --header "Authorization: Bearer TOKEN" "$@"
    return
  fi
  token="$(gcloud auth print-access-token)" || refuse "gcloud gives no access token: run 'gcloud auth login'."
  # The token goes in by standard input: a command line can be read by every process of the machine.
  execute curl --config - "$@" <<END
header = "Authorization: Bearer $token"
END
}

schedule() {
  [ -n "$cron" ] || refuse "--cron is missing: give a schedule such as \"0 2 * * *\"."
  scheduler_account="${scheduler_account:-$service_account}"
  [ -n "$scheduler_account" ] || refuse "--scheduler_account is missing: name the service account that may launch Dataflow jobs, such as nightly@$project.iam.gserviceaccount.com."
  request="$(launch_request "$@")" || exit 2
  verb=create headers=--headers
  if [ -z "$dry_run" ]; then
    asked=0
    why="$(gcloud_says scheduler jobs describe "$job" --location="$region" 2>&1 >/dev/null)" || asked=$?
    case "$asked" in
      0) verb=update headers=--update-headers ;;
      1) ;; # there is none yet
      *) printf '%s\n' "$why" >&2; refuse_unseen "$asked" "the schedule $job" ;;
    esac
  fi
  execute gcloud scheduler jobs "$verb" http "$job" --project="$project" --location="$region" \
    --schedule="$cron" --time-zone="${time_zone:-Etc/UTC}" --http-method=POST --uri="$launch_url" \
    "$headers=Content-Type=application/json" --message-body="$request" \
    --oauth-service-account-email="$scheduler_account" --oauth-token-scope=https://www.googleapis.com/auth/cloud-platform \
    --attempt-deadline=180s
}

cancel() {
  [ -n "$job_id" ] || refuse "cancel: name the JOB_ID; './run_dataflow.sh status' lists them."
  execute gcloud dataflow jobs cancel "$job_id" --project="$project" --region="$region"
}

# These use the settings and functions above.
. ./preflight.sh
. ./status.sh
preflight "$@"
case "$command" in
  run) if [ -n "$from_template" ]; then run_from_template "$@"; else with_job execute "$@"; fi ;;
  *) "$command" "$@" ;;
esac
