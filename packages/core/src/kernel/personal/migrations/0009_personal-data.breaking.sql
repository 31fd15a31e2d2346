-- Personal values are sealed with keys of their tenant, which a master key outside the database wraps. SQL cannot seal, so columns are
-- added here, and what stands in clear is moved into them row by row while the server runs; until then both are read. An older server
-- would look for people in columns that are empty then: breaking.

-- Check values of master keys. Belongs to no tenant, beside mahalla.migration, mahalla.lease, mahalla.schedule and mahalla.case_type.
create table mahalla.master_key (
  id text primary key check (id ~ '^[0-9a-f]{16}$'),
  made_at timestamptz not null,
  -- When an operator confirmed that the secret is kept somewhere else too.
  escrowed_at timestamptz,
  -- Nothing is wrapped by it any more.
  retired_at timestamptz
);
grant select, insert, update on mahalla.master_key to mahalla_platform;

create table mahalla.tenant_key (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  -- `data` seals values; `index` makes look-ups of them, and has one version.
  purpose text not null check (purpose in ('data', 'index')),
  version integer not null check (version between 1 and 999999999),
  master_id text not null references mahalla.master_key,
  -- Empty: destroyed, and with it whatever it sealed.
  wrapped text not null,
  made_at timestamptz not null,
  primary key (tenant_id, purpose, version)
);
create index tenant_key_master on mahalla.tenant_key (master_id);
select mahalla.protect('mahalla.tenant_key', 'select');
-- Nothing that serves a request asks for a key by SQL.
revoke select on mahalla.tenant_key from mahalla_app;
drop policy tenant_select on mahalla.tenant_key;

-- How far the values of one kind have been sealed with the tenant's newest key.
create table mahalla.reseal (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  -- As `kernel.principal`: what is gone through.
  part text not null,
  -- The last row that was looked at; null before the first.
  position text,
  -- Rows looked at.
  done bigint not null default 0,
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  primary key (tenant_id, part)
);
create index reseal_open on mahalla.reseal (tenant_id, part) where finished_at is null;
select mahalla.protect('mahalla.reseal', 'select');

alter table mahalla.principal
  add column phone_sealed text,
  -- HMAC of the phone under the tenant's index key: what sign-in looks for, and what is unique.
  add column phone_index text,
  add column name_sealed text,
  add constraint principal_phone_sealed check ((phone_sealed is null) = (phone_index is null)),
  add constraint principal_phone_index unique (tenant_id, phone_index);

-- Salts are sealed too: with a salt and its commitment a phone number is found by trying all there are.
alter table mahalla.event_personal
  alter column salt drop not null,
  alter column value drop not null,
  add column sealed text,
  -- Whose it is: the principal that the event is about, else who caused it. Serves erasure and exports.
  add column person_id uuid,
  add constraint event_personal_kept check (sealed is not null or (salt is not null and value is not null));
update mahalla.event_personal p set person_id = case
    when e.payload ->> 'principalId' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then (e.payload ->> 'principalId')::uuid
    else e.actor_id end
  from mahalla.event e where e.tenant_id = p.tenant_id and e.id = p.event_id;
create index event_personal_of on mahalla.event_personal (tenant_id, person_id) where person_id is not null;

alter table mahalla.idempotency_key add column answer_sealed text;
drop function mahalla.take_idempotency_key(uuid, text, text);
-- As before, with the sealed answer.
create function mahalla.take_idempotency_key(principal uuid, called text, given text)
  returns table (free boolean, body_hash text, status integer, answer jsonb, answer_sealed text)
  language plpgsql volatile
  as $$
begin
  if not pg_try_advisory_xact_lock(hashtextextended(
    concat_ws(chr(31), 'mahalla.idempotency', mahalla.current_tenant(), principal, called, given), 0)) then
    return query select false, null::text, null::integer, null::jsonb, null::text;
    return;
  end if;
  return query
    select true, stored.body_hash, stored.status, stored.answer, stored.answer_sealed
    from (select) always left join mahalla.idempotency_key stored
      on stored.tenant_id = mahalla.current_tenant() and stored.principal_id = principal and stored.route = called and stored.key = given;
end
$$;
revoke execute on function mahalla.take_idempotency_key(uuid, text, text) from public;
grant execute on function mahalla.take_idempotency_key(uuid, text, text) to mahalla_app;

-- What people ask for about themselves: a copy of all that is held, or its end.
create table mahalla.person_request (
  tenant_id uuid not null,
  id uuid not null,
  kind text not null check (kind in ('export', 'erasure')),
  principal_id uuid not null,
  state text not null default 'waiting' check (state in ('waiting', 'done', 'expired', 'failed')),
  -- What an erasure waits for, as `payouts`.
  waits_for text,
  -- The copy, until it expires.
  blob_key text,
  size bigint,
  requested_at timestamptz not null,
  finished_at timestamptz,
  expires_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id)
);
-- However often it is asked for, one of a kind is under way.
create unique index person_request_one on mahalla.person_request (tenant_id, principal_id, kind) where state = 'waiting';
create index person_request_of on mahalla.person_request (tenant_id, principal_id, id desc);
create index person_request_waiting on mahalla.person_request (requested_at) where state = 'waiting';
create index person_request_expiry on mahalla.person_request (expires_at) where blob_key is not null;
select mahalla.protect('mahalla.person_request', 'select, insert, update');

-- Up to which place in the order payloads have been dropped by age. Their hashes stay in the log.
create table mahalla.event_dropped (
  tenant_id uuid primary key references mahalla.tenant on delete cascade,
  position bigint not null check (position >= 0),
  dropped_at timestamptz
);
select mahalla.protect('mahalla.event_dropped', 'select');

insert into mahalla.reseal (tenant_id, part)
  select tenant_id, part from mahalla.tenant
  cross join unnest(array['kernel.principal', 'kernel.event-personal', 'kernel.idempotency-key']) as part;
