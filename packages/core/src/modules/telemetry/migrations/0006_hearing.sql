-- Stretches of time in which somebody worked who would have heard devices; between two of them nobody did. Of the whole deployment: it has no tenant.
create table mahalla.telemetry_hearing (
  from_at timestamptz primary key,
  until_at timestamptz not null
);
grant select, insert, update, delete on mahalla.telemetry_hearing to mahalla_platform;
