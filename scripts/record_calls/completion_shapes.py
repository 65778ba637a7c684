"""Shapes of completions and of embeddings."""
import json

from record_calls.parts import HUB, LONG, QWEN, STEPS, TEXTS, of

COMPLETIONS = {
    "string": {}, "list": {"prompt": ["Once", "upon a time"]}, "list-one": {"prompt": ["Once"]},
    "tokens | token_prompts": {"prompt": [9906, 1917]}, "tokens-lists | token_prompts": {"prompt": [[9906], [1917, 0]]},
    "echo": {"echo": True, "max_tokens": 0, "logprobs": 0}, "echo-logprobs": {"echo": True, "logprobs": 5, "max_tokens": 1},
    "suffix": {"prompt": "def f(x):\n    ", "suffix": "\n    return y\n"}, "logprobs": {"logprobs": 5}, "logprobs-zero": {"logprobs": 0},
    "n": {"n": 2}, "best-of": {"best_of": 3, "n": 2}, "stop": {"stop": ["\n"]}, "stop-string": {"stop": "."},
    "sampling": {"temperature": 0.2, "top_p": 0.95, "frequency_penalty": 0.1, "presence_penalty": 0.2, "seed": 7, "max_tokens": 100,
        "user": "u-1"}, "logit-bias": {"logit_bias": {"50256": -100}},
    "logit-bias-logprobs | logit_bias_with_logprobs": {"logit_bias": {"50256": -100}, "logprobs": 1},
    "nulls": {key: None for key in ("best_of", "echo", "logit_bias", "logprobs", "max_tokens", "n", "seed", "stop", "stream",
            "stream_options", "suffix", "temperature", "top_p")}, "stream": {"stream": True},
    "stream-usage": {"stream": True, "stream_options": {"include_usage": True}}, "unicode": {"prompt": TEXTS["unicode"] + TEXTS["emoji"]},
    "control-characters": {"prompt": TEXTS["control-characters"]}, "long": {"prompt": LONG},
    "many": {"prompt": [f"line {i}" for i in range(64)]},
    "vllm | vllm": {"model": HUB, "extra_body": {"use_beam_search": True, "prompt_logprobs": 1, "structured_outputs": {"regex": "[a-z]+"},
            "response_format": of("json_object"), "add_special_tokens": False}},
    "vllm-guided | vllm": {"model": HUB, "extra_body": {"guided_json": STEPS, "min_tokens": 2}},
    "sglang | sglang": {"model": QWEN, "extra_body": {"regex": "[a-z]+", "json_schema": json.dumps(STEPS), "ignore_eos": True}},
    "llama-cpp | llama.cpp": {"model": "local-model", "extra_body": {"n_predict": 16, "cache_prompt": True, "grammar": 'root ::= "a"'}},
    "top-k": {"model": HUB, "extra_body": {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2}},
}

EMBEDDINGS = {
    "string": {}, "list": {"input": ["a", "b", "c"]}, "tokens | token_prompts": {"input": [9906, 1917]},
    "tokens-lists | token_prompts": {"input": [[9906], [1917, 0]]}, "float": {"encoding_format": "float"},
    "base64": {"encoding_format": "base64"}, "dimensions": {"dimensions": 256}, "user": {"user": "u-1"},
    "unicode": {"input": [TEXTS["unicode"], TEXTS["emoji"], TEXTS["right-to-left"]]}, "newlines": {"input": TEXTS["newlines"]},
    "space": {"input": " "}, "long": {"input": LONG}, "many": {"input": [f"text {i}" for i in range(256)]},
    "vllm | vllm": {"model": "BAAI/bge-m3",
        "extra_body": {"truncate_prompt_tokens": 512, "add_special_tokens": True, "normalize": True, "priority": 1}},
}
