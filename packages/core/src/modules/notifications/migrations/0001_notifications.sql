-- Messages to people: one row per person, event and channel, and what became of it.

create table mahalla.message (
  tenant_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  event_id uuid not null,
  case_id uuid,
  -- Instance name of the messenger.
  channel text not null,
  text text not null,
  language text not null,
  state text not null default 'queued'
    check (state in ('queued', 'accepted', 'refused', 'unknown', 'delivered', 'failed', 'expired')),
  detail text,
  created_at timestamptz not null,
  changed_at timestamptz not null,
  primary key (tenant_id, id),
  -- However often an event is looked at, a person hears of it once on a channel.
  unique (tenant_id, event_id, principal_id, channel),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
create index message_of on mahalla.message (tenant_id, principal_id, id desc);
select mahalla.protect('mahalla.message', 'select, insert, update');
