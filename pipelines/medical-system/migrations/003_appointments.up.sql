CREATE TABLE appointments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    patient_id uuid NOT NULL REFERENCES patients,
    professional_id uuid NOT NULL REFERENCES medical_professionals,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'booked' CHECK (status IN ('booked', 'arrived', 'completed', 'cancelled', 'no-show')),
    reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (ends_at > starts_at)
);

CREATE INDEX appointments_of_patient ON appointments (patient_id, starts_at);
CREATE INDEX appointments_of_professional ON appointments (professional_id, starts_at);
