# shellcheck shell=sh
# shellcheck disable=SC2154 # the settings are those of run_dataflow.sh, which reads this file
# The command `status`: lists jobs, shows the state of one, or waits for its end. It looks jobs up as preflight.sh does.

most_unanswered=20 # polls in a row: a wait of hours outlasts a network that is down for some minutes

status() {
  job_url="https://console.cloud.google.com/dataflow/jobs/$region/$job_id?project=$project"
  if [ -z "$job_id" ]; then
    [ -z "$wait_for_end" ] || refuse "status --wait: name the JOB_ID to wait for."
    # A scheduled job has the very name, one that `run` submitted has the time behind it.
    [ -z "$runs_of_job" ] || set -- "--filter=name~\"^$runs_of_job(-[0-9]+-[0-9]+)?\$\""
    execute gcloud dataflow jobs list --project="$project" --region="$region" \
      '--format=table(id,name,state,creationTime)' --limit=20 "$@"
    return
  fi
  if [ -n "$dry_run" ]; then
    execute gcloud dataflow jobs describe "$job_id" --region="$region" '--format=value(currentState)' --project="$project"
    return
  fi
  unanswered=0
  while true; do
    asked=0
    state="$(gcloud_says dataflow jobs describe "$job_id" --region="$region" '--format=value(currentState)')" || asked=$?
    case "$asked" in
      0) unanswered=0 ;;
      1) refuse "$job_id: there is no such job in $region." ;;
      *)
        [ -n "$wait_for_end" ] || refuse_unseen "$asked" "$job_id"
        unanswered=$((unanswered + 1))
        if [ "$unanswered" -eq "$most_unanswered" ]; then
          warn "$job_id: gcloud could not look it up $unanswered times in a row. The job may go on: see $job_url"
          return 1
        fi
        ;;
    esac
    case "$state" in
      JOB_STATE_DONE) echo "$state"; return 0 ;;
      JOB_STATE_FAILED | JOB_STATE_CANCELLED | JOB_STATE_UPDATED | JOB_STATE_DRAINED)
        echo "$state"
        echo "See $job_url" >&2
        return 1
        ;;
    esac
    [ -n "$wait_for_end" ] || { echo "$state"; return 0; }
    sleep "${CAPTION_POLL_SECONDS:-30}"
  done
}
