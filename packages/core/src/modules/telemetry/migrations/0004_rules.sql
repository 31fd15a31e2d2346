-- Rules as data, what they and detection remember, and what detection has found.

-- How easily detection raises anomalies where a profile says nothing: 0–1.
alter table mahalla.telemetry_head add column sensitivity real check (sensitivity between 0 and 1);

create table mahalla.rule (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  id text not null,
  version integer not null,
  -- `RuleDefinition`.
  definition jsonb not null,
  enabled boolean not null,
  changed_at timestamptz not null,
  primary key (tenant_id, id)
);
select mahalla.protect('mahalla.rule', 'select, insert, update, delete');

-- Every version there was: an alert names the one that raised it.
create table mahalla.rule_version (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  id text not null,
  version integer not null,
  definition jsonb not null,
  created_by uuid,
  created_at timestamptz not null,
  primary key (tenant_id, id, version)
);
select mahalla.protect('mahalla.rule_version', 'select, insert');

-- As far as `telemetry_progress` of `judge` says, like device_state.
create table mahalla.rule_state (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  originator text not null,
  state jsonb not null,
  primary key (tenant_id, originator)
);
select mahalla.protect('mahalla.rule_state', 'select, insert, update, delete');

create table mahalla.anomaly (
  tenant_id uuid not null,
  datastream bigint not null,
  at timestamptz not null,
  kind text not null,
  value double precision not null,
  low double precision not null,
  high double precision not null,
  score real not null,
  explanation text not null,
  primary key (tenant_id, datastream, at, kind),
  foreign key (tenant_id, datastream) references mahalla.datastream (tenant_id, number) on delete cascade
);
create index anomaly_age on mahalla.anomaly (tenant_id, at);
select mahalla.protect('mahalla.anomaly', 'select, insert, delete');
