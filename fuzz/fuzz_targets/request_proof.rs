#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    tributary_fuzz::request_proof(data);
});
