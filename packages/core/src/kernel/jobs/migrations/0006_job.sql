-- Work to do, at least once. A job is written in the transaction of the fact that caused it and deleted when it is done; what is left
-- here is waiting, leased or dead.

create table mahalla.job (
  tenant_id uuid not null,
  -- UUIDv7; the same id twice is one job.
  id uuid not null,
  -- [a-z0-9.-]; who writes it checks that: a pattern here would double the cost of an insert.
  topic text not null check (octet_length(topic) between 1 and 80),
  body jsonb not null,
  -- Higher goes first.
  priority smallint not null default 0 check (priority between -100 and 100),
  -- Not before this moment.
  run_at timestamptz not null default now(),
  -- At most one waiting job of a tenant and topic has it; emptied when the first try starts.
  unique_key text,
  -- Tries begun, and how many there may be. A replay begins again at 0.
  attempt smallint not null default 0,
  max_attempts smallint not null default 12 check (max_attempts between 1 and 100),
  -- Leased until then; null or past: free to take. Counted in lease_number, which never goes back: it names the try.
  lease_until timestamptz,
  lease_number integer not null default 0,
  worker text,
  state text not null default 'ready' check (state in ('ready', 'dead')),
  last_error text,
  created_at timestamptz not null default now(),
  died_at timestamptz,
  primary key (tenant_id, id)
) with (
  -- Room on each page for a second version of every row, and no index on what a lease changes: taking a job writes no index entry.
  fillfactor = 45,
  autovacuum_vacuum_scale_factor = 0.0,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_cost_delay = 0
);

-- Serves receive: the first of each topic.
create index job_ready on mahalla.job (topic, priority desc, run_at) where state = 'ready';
create unique index job_unique on mahalla.job (tenant_id, topic, unique_key) where unique_key is not null;
-- Serve the list of dead letters, of all tenants and of one.
create index job_dead on mahalla.job (died_at desc, id desc) where state = 'dead';
create index job_dead_of_tenant on mahalla.job (tenant_id, died_at desc, id desc) where state = 'dead';

select mahalla.protect('mahalla.job', 'select, insert');
