/**
 * The queue's SQL on the kernel's table `mahalla.job`, each one round trip. Indexes: `job_ready` serves receive, `job_dead` and
 * `job_dead_of_tenant` the dead letters, the primary key everything that names a receipt.
 */

/**
 * $1 tenants, $2 ids, $3 topics, $4 bodies, $5 priorities, $6 run-at milliseconds, $7 unique keys, $8 tries. Fails on an id or key that
 * is there already.
 */
export const sendNew = `
  insert into mahalla.job (tenant_id, id, topic, body, priority, run_at, unique_key, max_attempts)
  select tenant_id::uuid, id::uuid, topic, body::jsonb, priority,
         coalesce(timestamptz 'epoch' + run_at * interval '1 millisecond', now()), unique_key, max_attempts
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int4[], $6::float8[], $7::text[], $8::int4[])
    as given (tenant_id, id, topic, body, priority, run_at, unique_key, max_attempts)`

/** Leaves out what is there already; costs half as much again. */
export const send = `${sendNew} on conflict do nothing`

/**
 * $1 topics, $2 limit, $3 lease in milliseconds, $4 worker. The first ready ones of each topic are locked, past those that others
 * are just taking, and the first of all are leased; who has no try left dies instead. Locked rows do not move, so their place (ctid)
 * finds them again without a join.
 */
export const receive = `
  with due as (
    select first.ctid
    from unnest($1::text[]) as wanted (topic)
    cross join lateral (
      select ctid, priority, run_at
      from mahalla.job
      where state = 'ready' and topic = wanted.topic and run_at <= now() and (lease_until is null or lease_until <= now())
      order by priority desc, run_at
      limit $2
      for update skip locked
    ) as first
    order by first.priority desc, first.run_at
    limit $2
  ), taken as (
    update mahalla.job set
      state = case when attempt >= max_attempts then 'dead' else 'ready' end,
      died_at = case when attempt >= max_attempts then now() end,
      last_error = case when attempt >= max_attempts then 'lease expired' else last_error end,
      lease_until = case when attempt >= max_attempts then null else now() + $3 * interval '1 millisecond' end,
      attempt = case when attempt >= max_attempts then attempt else attempt + 1 end,
      lease_number = lease_number + 1,
      worker = $4,
      unique_key = null
    where ctid = any (array(select ctid from due))
    returning tenant_id, id, topic, body, priority, run_at, attempt, max_attempts, lease_number, state
  )
  select tenant_id, id, topic, body, attempt, max_attempts, lease_number
  from taken
  where state = 'ready'
  order by priority desc, run_at, id`

/** $1 tenants, $2 ids, $3 lease numbers, $4 lease in milliseconds. */
export const extend = `
  update mahalla.job set lease_until = now() + $4 * interval '1 millisecond'
  from unnest($1::text[], $2::text[], $3::int4[]) as held (tenant_id, id, lease_number)
  where job.tenant_id = held.tenant_id::uuid and job.id = held.id::uuid and job.lease_number = held.lease_number
    and job.lease_until is not null
  returning job.tenant_id, job.id, job.lease_number`

/** $1 tenants, $2 ids, $3 lease numbers. */
export const complete = `
  delete from mahalla.job
  using unnest($1::text[], $2::text[], $3::int4[]) as done (tenant_id, id, lease_number)
  where job.tenant_id = done.tenant_id::uuid and job.id = done.id::uuid and job.lease_number = done.lease_number
    and job.lease_until is not null`

/** $1 tenants, $2 ids, $3 lease numbers. */
export const release = `
  update mahalla.job set lease_until = null, worker = null, attempt = attempt - 1
  from unnest($1::text[], $2::text[], $3::int4[]) as held (tenant_id, id, lease_number)
  where job.tenant_id = held.tenant_id::uuid and job.id = held.id::uuid and job.lease_number = held.lease_number
    and job.lease_until is not null`

/** $1 tenant, $2 id, $3 lease number, $4 delay in milliseconds, or null: dead at once; $5 error. */
export const giveBack = `
  update mahalla.job set
    state = case when attempt >= max_attempts or $4::float8 is null then 'dead' else 'ready' end,
    died_at = case when attempt >= max_attempts or $4::float8 is null then now() end,
    run_at = case when attempt >= max_attempts or $4::float8 is null then run_at
                  else now() + $4::float8 * interval '1 millisecond' end,
    lease_until = null,
    worker = null,
    last_error = $5
  where tenant_id = $1::text::uuid and id = $2::text::uuid and lease_number = $3::int4 and lease_until is not null
  returning state`

/** $1 tenant or null, $2 topic or null, $3 and $4 died-at and id of the last one seen or null, $5 limit. */
export const deadLetters = `
  select tenant_id, id, topic, body, attempt, last_error, died_at::text as cursor,
         (extract(epoch from died_at) * 1000)::float8 as died_at_ms
  from mahalla.job
  where state = 'dead'
    and ($1::text is null or tenant_id = $1::text::uuid)
    and ($2::text is null or topic = $2::text)
    and ($3::text is null or (died_at, id) < ($3::text::timestamptz, $4::text::uuid))
  order by died_at desc, id desc
  limit $5`

/** $1 ids. */
export const replay = `
  update mahalla.job set state = 'ready', attempt = 0, run_at = now(), died_at = null
  where state = 'dead' and id = any ($1::text[]::uuid[])`

/** $1 ids. */
export const discard = `delete from mahalla.job where state = 'dead' and id = any ($1::text[]::uuid[])`

export const depth = `
  select topic,
         (count(*) filter (where free and run_at <= now()))::int4 as ready,
         (count(*) filter (where free and run_at > now()))::int4 as delayed,
         (count(*) filter (where state = 'ready' and not free))::int4 as leased,
         (count(*) filter (where state = 'dead'))::int4 as dead,
         coalesce(extract(epoch from now() - min(run_at) filter (where free and run_at <= now())) * 1000, 0)::float8 as oldest_ready
  from (select topic, state, run_at, state = 'ready' and (lease_until is null or lease_until <= now()) as free from mahalla.job) as job
  group by topic
  order by topic`
