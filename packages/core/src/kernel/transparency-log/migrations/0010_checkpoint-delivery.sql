-- Checkpoints that were handed to somebody outside, by webhook or e-mail.

create table mahalla.checkpoint_delivery (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  -- SHA-256 of where it goes: an address may hold a secret.
  target text not null,
  -- Events that the last checkpoint covers which arrived there; 0 before the first.
  size bigint not null default 0,
  delivered_at timestamptz,
  -- Tries in a row that failed, and when the next one is due.
  failures integer not null default 0,
  retry_at timestamptz,
  last_error text,
  primary key (tenant_id, target)
);
select mahalla.protect('mahalla.checkpoint_delivery', 'select');
